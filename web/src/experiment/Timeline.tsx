import { useMemo } from "preact/hooks";
import { absolute, duration } from "../ui/format";
import {
  at,
  averaged,
  type Bar,
  barsOf,
  loadOf,
  MOST_THREADS,
  type Scale,
  threadsOf,
  ticksOf,
} from "./spans";
import type { TaskTimes } from "./tasks";
import "./Timeline.css";

const HEIGHT = 28; // pixels of a row
const BAR = 10;
const TOP = (HEIGHT - BAR) / 2;
const THREAD = 2.5;
const AREA = 20;
const AREA_PARTS = 120;
const SIGN = 0.045; // part of the width that the sign of an end needs
const MOST_TICKS = 4.5;
const NEAR_NOW = 0.12; // part of the width that the label of the “now” line needs
const NARROWEST = 0.004; // part of the width that a run has at least
const NUMBERED = 0.045; // part of the width that has room for the number of an attempt

function percent(part: number): string {
  return `${(part * 100).toFixed(3)}%`;
}

/** The labels of the axis, in the head of the column. */
export function TimelineHead({ scale }: { scale: Scale }) {
  return (
    <span class="timeline-head">
      {ticksOf(scale, MOST_TICKS)
        .filter((tick) => !isNearNow(tick.at, scale))
        .map((tick) => (
          <span key={tick.label} class="timeline-tick" style={{ left: percent(tick.at) }}>
            {tick.label}
          </span>
        ))}
      {scale.now === null ? null : (
        <span class="timeline-now-label" style={{ left: percent(at(scale, scale.now)) }}>
          now
        </span>
      )}
    </span>
  );
}

/** Whether the label of the “now” line leaves no room for that of a tick. */
function isNearNow(place: number, scale: Scale): boolean {
  return scale.now !== null && place > 0 && at(scale, scale.now) - place < NEAR_NOW;
}

/** The hairlines below the labels, and the “now” line, over the height of the table. */
export function TimelineGrid({ scale }: { scale: Scale }) {
  return (
    <svg class="timeline-grid" width="100%" height="100%" aria-hidden="true">
      {ticksOf(scale, MOST_TICKS)
        .slice(1)
        .map((tick) => (
          <line key={tick.label} x1={percent(tick.at)} x2={percent(tick.at)} y1="0" y2="100%" />
        ))}
      {scale.now === null ? null : (
        <line
          class="timeline-now"
          x1={percent(at(scale, scale.now))}
          x2={percent(at(scale, scale.now))}
          y1="0"
          y2="100%"
        />
      )}
    </svg>
  );
}

interface TaskTimelineProps {
  readonly task: TaskTimes;
  readonly scale: Scale;
}

/** When the attempts of one task waited and ran. */
export function TaskTimeline({ task, scale }: TaskTimelineProps) {
  const bars = barsOf(task, scale);
  const isSeveral = task.attempts.length > 1;
  return (
    <svg class="timeline-row" width="100%" height={HEIGHT} role="img" aria-label={described(bars)}>
      <title>{described(bars)}</title>
      {bars.map((bar) => (
        <BarShape
          key={`${bar.attempt}${bar.kind}`}
          bar={bar}
          scale={scale}
          isNumbered={isSeveral}
          isMarked={hasRoom(bar, bars, scale)}
        />
      ))}
    </svg>
  );
}

/** Whether the sign of how it ended does not cover a later attempt. */
function hasRoom(bar: Bar, bars: readonly Bar[], scale: Scale): boolean {
  const later = bars.find((other) => other.kind === "run" && other.attempt > bar.attempt);
  return !later || at(scale, later.from) - at(scale, bar.to) > SIGN;
}

interface BarProps {
  readonly bar: Bar;
  readonly scale: Scale;
  readonly isNumbered: boolean;
  readonly isMarked: boolean;
}

function BarShape({ bar, scale, isNumbered, isMarked }: BarProps) {
  const from = at(scale, bar.from);
  const to = at(scale, bar.to);
  if (bar.kind === "wait") {
    return <line class="timeline-wait" x1={percent(from)} x2={percent(to)} y1={HEIGHT / 2} y2={HEIGHT / 2} />;
  }
  const width = Math.max(to - from, NARROWEST);
  return (
    <>
      <rect
        class={`timeline-run status-${bar.status}`}
        x={percent(from)}
        width={percent(width)}
        y={TOP}
        height={BAR}
        rx="2"
      />
      {isNumbered && width >= NUMBERED ? (
        <text class="timeline-number" x={percent(from + width / 2)} y={HEIGHT / 2 + 3.5}>
          {bar.attempt}
        </text>
      ) : null}
      {isMarked ? <EndMark bar={bar} at={from + width} /> : null}
    </>
  );
}

function EndMark({ bar, at: place }: { bar: Bar; at: number }) {
  if (bar.isOpen || (bar.status !== "FAILED" && bar.status !== "CANCELLED")) return null;
  return (
    <text class={`timeline-end status-${bar.status}`} x={percent(place)} dx="3" y={HEIGHT / 2 + 4}>
      {bar.status === "FAILED" ? "×" : "■"}
    </text>
  );
}

interface GroupTimelineProps {
  readonly tasks: readonly TaskTimes[];
  readonly scale: Scale;
}

/** The runs of a folded group: a thread for each that ran at once, or how many did. */
export function GroupTimeline({ tasks, scale }: GroupTimelineProps) {
  const bars = useMemo(
    () => tasks.flatMap((task) => barsOf(task, scale)).filter((bar) => bar.kind === "run"),
    [tasks, scale],
  );
  const threads = useMemo(() => threadsOf(bars), [bars]);
  const label = `${tasks.length} tasks. ${described(bars)}`;
  return (
    <svg class="timeline-row" width="100%" height={HEIGHT} role="img" aria-label={label}>
      <title>{label}</title>
      {threads ? <Threads threads={threads} scale={scale} /> : <Area bars={bars} scale={scale} />}
    </svg>
  );
}

function Threads({ threads, scale }: { threads: readonly (readonly Bar[])[]; scale: Scale }) {
  const step = Math.min(THREAD + 1, (HEIGHT - 4) / MOST_THREADS);
  const top = (HEIGHT - step * threads.length) / 2;
  return (
    <>
      {threads.flatMap((thread, index) =>
        thread.map((bar) => (
          <rect
            key={`${bar.from} ${bar.to}`}
            class={`timeline-run status-${bar.status}`}
            x={percent(at(scale, bar.from))}
            width={percent(Math.max(at(scale, bar.to) - at(scale, bar.from) - 0.001, NARROWEST / 2))}
            y={top + index * step}
            height={THREAD}
          />
        )),
      )}
    </>
  );
}

function Area({ bars, scale }: { bars: readonly Bar[]; scale: Scale }) {
  const parts = averaged(loadOf(bars, scale), AREA_PARTS);
  const most = Math.max(1, ...parts);
  const isOpen = bars.some((bar) => bar.isOpen);
  return (
    <>
      {parts.map((count, index) => {
        const height = (AREA * count) / most;
        return height > 0 ? (
          <rect
            key={index}
            class={`timeline-area${isOpen ? " is-open" : ""}`}
            x={percent(index / AREA_PARTS)}
            width={percent(1.04 / AREA_PARTS)}
            y={(HEIGHT + AREA) / 2 - height}
            height={height}
          />
        ) : null;
      })}
    </>
  );
}

const MOST_DESCRIBED = 6;

function described(bars: readonly Bar[]): string {
  const runs = bars.filter((bar) => bar.kind === "run");
  if (runs.length > MOST_DESCRIBED) return `${runs.length} attempts`;
  const parts = bars.map((bar) => {
    const long = duration((bar.to - bar.from) / 1_000);
    if (bar.kind === "wait") return `waited ${long}`;
    const since = absolute(new Date(bar.from).toISOString());
    return `attempt ${bar.attempt} ${bar.isOpen ? "runs" : `${bar.status} after`} ${long}, since ${since}`;
  });
  return parts.join("; ") || "not started";
}

/** What the signs of the timeline mean. */
export function TimelineLegend({ started }: { started: string | null }) {
  return (
    <>
      <span class="timeline-legend">
        <svg width="24" height="8" aria-hidden="true">
          <line class="timeline-wait" x1="0" x2="24" y1="4" y2="4" />
        </svg>
        waits
      </span>
      <span class="timeline-legend">
        <svg width="20" height="8" aria-hidden="true">
          <rect class="timeline-legend-run" width="20" height="8" rx="2" />
        </svg>
        runs
      </span>
      <span class="timeline-legend">
        <span class="timeline-end status-FAILED" aria-hidden="true">
          ×
        </span>
        ended FAILED
      </span>
      <span class="timeline-legend">
        <span class="timeline-end status-CANCELLED" aria-hidden="true">
          ■
        </span>
        ended CANCELLED
      </span>
      <span class="timeline-legend">1, 2: attempts</span>
      {started ? <span class="timeline-legend-start">times from the start, {started}</span> : null}
    </>
  );
}
