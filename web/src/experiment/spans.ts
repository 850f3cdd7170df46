// When attempts waited and ran, as parts of the width of a column. No function here knows pixels of a screen.
import type { TaskTimes } from "./tasks";

export interface Scale {
  /** Milliseconds since 1970: the left edge, and the right one. */
  readonly from: number;
  readonly to: number;
  /** The “now” line; null once the experiment is over. */
  readonly now: number | null;
}

const LEAST = 1_000; // milliseconds that the column shows
const AFTER_NOW = 1.02; // so that the line is not at the edge

/**
 * The scale of an experiment.
 *
 * @param now milliseconds, by the clock of the experiment; null once it is over
 */
export function scaleOf(
  tasks: readonly TaskTimes[],
  started: string | null,
  now: number | null,
): Scale | null {
  let from = started === null ? Number.POSITIVE_INFINITY : Date.parse(started);
  let last = Number.NEGATIVE_INFINITY;
  for (const task of tasks) {
    for (const attempt of task.attempts) {
      const begin = attempt.submitted ?? attempt.started;
      if (begin !== null) from = Math.min(from, Date.parse(begin));
      const end = attempt.ended ?? attempt.started ?? attempt.submitted;
      if (end !== null) last = Math.max(last, Date.parse(end));
    }
  }
  if (now !== null) last = Math.max(now, last);
  if (!Number.isFinite(from) || !Number.isFinite(last)) return null;
  const span = Math.max(last - from, LEAST);
  return { from, to: from + span * (now === null ? 1 : AFTER_NOW), now: now === null ? null : from + span };
}

/** The part of the width at which a time is, from 0 to 1. */
export function at(scale: Scale, time: number): number {
  return Math.min(1, Math.max(0, (time - scale.from) / (scale.to - scale.from)));
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((count) => count * DAY),
];

export interface Tick {
  readonly at: number;
  readonly label: string;
}

/** At most so many ticks, at round times from the start; none too near the “now” line for its label. */
export function ticksOf(scale: Scale, most: number): Tick[] {
  const span = scale.to - scale.from;
  const step = STEPS.find((each) => span / each <= most) ?? (STEPS[STEPS.length - 1] as number);
  const end = scale.now ?? scale.to;
  const ticks: Tick[] = [];
  for (let time = 0; scale.from + time <= end; time += step) {
    ticks.push({ at: at(scale, scale.from + time), label: tickLabel(time, step) });
  }
  return ticks;
}

function tickLabel(time: number, step: number): string {
  if (step < MINUTE && time < MINUTE) return `${time / SECOND}s`;
  if (step < MINUTE)
    return `${Math.floor(time / MINUTE)}m${String((time % MINUTE) / SECOND).padStart(2, "0")}`;
  if (step < HOUR && time < HOUR) return `${time / MINUTE}m`;
  if (step < HOUR) return `${Math.floor(time / HOUR)}h${String((time % HOUR) / MINUTE).padStart(2, "0")}`;
  return step < DAY ? `${time / HOUR}h` : `${time / DAY}d`;
}

export interface Bar {
  readonly kind: "wait" | "run";
  /** Milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly attempt: number;
  readonly status: string;
  /** It has not ended: it reaches the “now” line. */
  readonly isOpen: boolean;
}

/** The waits and runs of a task, in their order. */
export function barsOf(task: TaskTimes, scale: Scale): Bar[] {
  const bars: Bar[] = [];
  const end = scale.now ?? scale.to;
  for (const { attempt, status, waits_since, submitted, started, ended } of task.attempts) {
    const begin = waits_since ?? submitted;
    const stop = started ?? ended;
    if (begin !== null && (stop === null || Date.parse(stop) > Date.parse(begin))) {
      const isOpen = stop === null;
      bars.push({
        kind: "wait",
        from: Date.parse(begin),
        to: isOpen ? end : Date.parse(stop),
        attempt,
        status,
        isOpen,
      });
    }
    if (started !== null) {
      const to = ended === null ? end : Date.parse(ended);
      bars.push({ kind: "run", from: Date.parse(started), to, attempt, status, isOpen: ended === null });
    }
  }
  if (task.waits_since !== null) {
    const attempt = (task.attempts[task.attempts.length - 1]?.attempt ?? 0) + 1;
    bars.push({
      kind: "wait",
      from: Date.parse(task.waits_since),
      to: end,
      attempt,
      status: "PENDING",
      isOpen: true,
    });
  }
  return bars;
}

export const MOST_THREADS = 8;

/** The runs of a sweep in as few threads as do not overlap; null if that takes more than MOST_THREADS. */
export function threadsOf(bars: readonly Bar[]): Bar[][] | null {
  const threads: Bar[][] = [];
  for (const bar of [...bars].sort((one, other) => one.from - other.from || one.to - other.to)) {
    const free = threads.find((thread) => (thread[thread.length - 1] as Bar).to <= bar.from);
    if (free) free.push(bar);
    else if (threads.length < MOST_THREADS) threads.push([bar]);
    else return null;
  }
  return threads;
}

export interface Load {
  readonly at: number;
  readonly count: number;
}

/** How many ran at each time: the count from each change on, from the left to the right. */
export function loadOf(bars: readonly Bar[], scale: Scale): Load[] {
  const changes = bars.flatMap((bar) => [
    { time: bar.from, by: 1 },
    { time: bar.to, by: -1 },
  ]);
  changes.sort((one, other) => one.time - other.time || one.by - other.by);
  const load: Load[] = [];
  let count = 0;
  for (const change of changes) {
    count += change.by;
    const place = at(scale, change.time);
    if (load.length && (load[load.length - 1] as Load).at === place) load.pop();
    load.push({ at: place, count });
  }
  return load;
}

/** The average count in each of so many equal parts of the width. */
export function averaged(load: readonly Load[], parts: number): number[] {
  const sums = new Array<number>(parts).fill(0);
  for (const [index, { at: from, count }] of load.entries()) {
    const to = load[index + 1]?.at ?? from;
    for (let part = Math.floor(from * parts); part < parts && part / parts < to; part += 1) {
      const covered = Math.min(to, (part + 1) / parts) - Math.max(from, part / parts);
      sums[part] = (sums[part] ?? 0) + count * Math.max(0, covered) * parts;
    }
  }
  return sums;
}
