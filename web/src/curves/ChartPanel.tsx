import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { TipColumns } from "./CursorTip";
import { CurveChart } from "./CurveChart";
import type { ChartLines } from "./lines";
import { CsvNote, Menu } from "./Menu";
import type { Axis } from "./model";
import type { Span } from "./ranges";
import { Segments } from "./Segments";
import { Swatch } from "./Swatch";
import type { LookState } from "./state";
import { shortValue } from "./ticks";
import { axisName, position, valuesAt } from "./words";
import "./ChartPanel.css";

export interface ChartPanelProps {
  readonly title: string;
  /** Undefined until the curves have come. */
  readonly chart: ChartLines | undefined;
  readonly axis: Axis;
  readonly isXLog: boolean;
  readonly isLog: boolean;
  readonly isWhole: boolean;
  readonly isFull: boolean;
  readonly isWide: boolean;
  readonly look: LookState;
  readonly columns: TipColumns;
  onSight(isInSight: boolean): void;
  onLog(isLog: boolean): void;
  onWhole(): void;
  onFull(): void;
  onZoom(zoom: Span | null): void;
  onSave(kind: "png" | "svg" | "csv"): void;
}

/** One metric: its name, its switches, its chart, and what the chart leaves out. */
export function ChartPanel(props: ChartPanelProps) {
  const { title, chart, axis, look } = props;
  const panel = useRef<HTMLElement>(null);
  const onSight = useRef(props.onSight);
  onSight.current = props.onSight;
  useEffect(() => {
    if (!panel.current) return;
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) onSight.current(entry.isIntersecting);
      },
      { rootMargin: "300px" },
    );
    watcher.observe(panel.current);
    return () => {
      watcher.disconnect();
      onSight.current(false);
    };
  }, []);
  const notes = chart ? notesOf(chart, props) : [];
  return (
    <article
      ref={panel}
      class={`chart-panel${props.isWide ? " wide" : ""}${props.isFull ? " full" : ""}`}
      aria-label={title}
    >
      <header>
        <h3 title={title}>
          <bdi>{title}</bdi>
        </h3>
        <Segments
          label={`y axis of ${title}`}
          isLabelHidden
          isSmall
          options={[
            { value: "lin", text: "lin" },
            { value: "log", text: "log" },
          ]}
          value={props.isLog ? "log" : "lin"}
          onPick={(value) => props.onLog(value === "log")}
        />
        <LiftedValue chart={chart} look={look} />
        <button
          type="button"
          class="icon-button"
          aria-label={props.isFull ? "Back to all charts" : `Only ${title}, large`}
          title={props.isFull ? "Back to all charts" : "Full size"}
          onClick={props.onFull}
        >
          <svg
            viewBox="0 0 16 16"
            width="14"
            height="14"
            fill="none"
            stroke="currentColor"
            stroke-width="1.4"
            aria-hidden="true"
          >
            <path
              d={
                props.isFull
                  ? "M13.5 2.5 9.5 6.5m0-3v3h3M2.5 13.5l4-4m0 3v-3h-3"
                  : "M9.5 6.5l4-4m-3 0h3v3M6.5 9.5l-4 4m3 0h-3v-3"
              }
            />
          </svg>
        </button>
        <Menu label={`More about ${title}`} kind="icon-button" button="⋯">
          {(["png", "svg", "csv"] as const).map((kind) => (
            <button type="button" key={kind} onClick={() => props.onSave(kind)}>
              Save {kind.toUpperCase()}
            </button>
          ))}
          <CsvNote />
          <button type="button" onClick={() => props.onZoom(null)}>
            Reset zoom <kbd>0</kbd>
          </button>
        </Menu>
      </header>
      {chart ? (
        <CurveChart
          title={title}
          chart={chart}
          axis={axis}
          isXLog={props.isXLog}
          isLog={props.isLog}
          look={look}
          columns={props.columns}
          onZoom={props.onZoom}
        />
      ) : (
        <div class="curve-chart-plot" />
      )}
      {notes.length ? <p class="chart-panel-notes">{notes}</p> : null}
      {chart ? (
        <ValueTable title={title} chart={chart} axis={axis} look={look} columns={props.columns} />
      ) : null}
    </article>
  );
}

function notesOf(chart: ChartLines, props: ChartPanelProps): ComponentChildren[] {
  const { outside, notPositive } = chart.extent;
  const notes: ComponentChildren[] = [];
  if (notPositive) notes.push(<span key="log">{counted(notPositive, "point")} ≤ 0 not drawn</span>);
  if (chart.xNotPositive && props.isXLog) {
    notes.push(<span key="xlog">{counted(chart.xNotPositive, "point")} at x ≤ 0 not drawn</span>);
  }
  if (outside || props.isWhole) {
    notes.push(
      <span key="outside">
        {props.isWhole ? "the whole range" : `${counted(outside, "point")} at the beginning beyond the range`}{" "}
        <button type="button" onClick={props.onWhole}>
          {props.isWhole ? "leave out the beginning" : "all"}
        </button>
      </span>,
    );
  }
  const missing = chart.lines.filter((line) => line.y.length && !line.y.some(Number.isFinite));
  if (missing.length) {
    notes.push(<span key="missing">{counted(missing.length, "run")} without a finite number</span>);
  }
  return notes;
}

function counted(count: number, word: string): string {
  return `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;
}

/** The value of the lifted line, beside the name of the metric. */
function LiftedValue({ chart, look }: { chart: ChartLines | undefined; look: LookState }) {
  const lifted = look.lifted.value;
  const cursor = look.cursor.value;
  const line = lifted === null ? undefined : chart?.lines.find((each) => each.id === lifted);
  if (!chart || !line) return <span class="chart-panel-value" />;
  const at = cursor ? valuesAt({ ...chart, lines: [line] }, cursor.x)[0]?.shown : line.y[line.y.length - 1];
  return (
    <span class="chart-panel-value">
      <Swatch stroke={line.stroke} /> {at === undefined ? "" : shortValue(at)}
    </span>
  );
}

const MOST_ROWS = 100;

/** The values at the cursor as a table, for those who cannot see the chart; of the chart that has the cursor. */
function ValueTable({
  title,
  chart,
  axis,
  look,
  columns,
}: {
  title: string;
  chart: ChartLines;
  axis: Axis;
  look: LookState;
  columns: TipColumns;
}) {
  const cursor = look.cursor.value;
  if (cursor?.key !== title) return null;
  const values = valuesAt(chart, cursor.x).slice(0, MOST_ROWS);
  return (
    <div class="visually-hidden">
      <table>
        <caption>
          Values of {title} at {axisName(axis, chart.isNumbered)} {position(axis, cursor.x)}
        </caption>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Shown</th>
            <th scope="col">Raw</th>
          </tr>
        </thead>
        <tbody>
          {values.map(({ line, shown, raw }) => (
            <tr key={line.id}>
              <th scope="row">{columns.nameOf(line)}</th>
              <td>{shown}</td>
              <td>{raw}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
