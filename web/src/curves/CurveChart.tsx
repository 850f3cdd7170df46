import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { duration } from "../ui/format";
import { CursorTip, type TipColumns } from "./CursorTip";
import { drawLifted, drawLines, drawMarks, type Palette, type Projection, paletteOf } from "./drawing";
import type { ChartLines, Line } from "./lines";
import type { Axis } from "./model";
import type { Span } from "./ranges";
import { scaled, unscaled } from "./scales";
import type { LookState } from "./state";
import { durationTicks, linearTicks, logLabel, logTicks, tickLabel } from "./ticks";
import { axisName, position, snapped, summary, valuesAt } from "./words";
import "./CurveChart.css";

export interface CurveChartProps {
  /** The metric. */
  readonly title: string;
  readonly chart: ChartLines;
  readonly axis: Axis;
  readonly isXLog: boolean;
  readonly isLog: boolean;
  readonly look: LookState;
  readonly columns: TipColumns;
  onZoom?(zoom: Span | null): void;
}

const FONT = 'Inter, ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif';
const AXIS_ROOM = 48; // pixels at the end of the x axis, where its name is
const DRAG = 6; // pixels
const NEAR = 24; // pixels within which the pointer lifts a line
const STEP = 10; // points that an arrow with Shift moves

/** The canvas of one chart: lines, axes, cursor, tip. It fills its box. */
export function CurveChart(props: CurveChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const plot = useRef<Plot | null>(null);
  const kind = `${props.axis} ${props.isXLog} ${props.isLog}`;
  const [said, say] = useState("");
  useEffect(() => {
    void kind;
    if (!box.current) return;
    const made = new Plot(box.current, latest);
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [kind]);
  useEffect(() => plot.current?.update(), [props.chart]);
  const { look, chart, axis, title } = props;
  const name = axisName(axis, chart.isNumbered);
  const moveTo = (x: number) => {
    look.cursor.value = { key: title, x, isKeys: true };
    const values = valuesAt(chart, x)
      .filter(({ line }) => look.lifted.peek() === null || line.id === look.lifted.peek())
      .slice(0, 4)
      .map(({ line, shown }) => `${props.columns.nameOf(line)} ${shown}`);
    say(`${name} ${position(axis, x)}: ${values.join(", ")}`);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const cursor = look.cursor.peek();
    const all = positionsOf(chart, look.lifted.peek());
    if (!all.length) return;
    const at = cursor ? indexOf(all, cursor.x) : -1;
    const step = event.shiftKey ? STEP : 1;
    const index: Record<string, number> = {
      ArrowRight: Math.min(all.length - 1, at + step),
      ArrowLeft: Math.max(0, at < 0 ? all.length - 1 : at - step),
      Home: 0,
      End: all.length - 1,
    };
    const next = Object.hasOwn(index, event.key) ? all[index[event.key] as number] : undefined;
    if (next !== undefined) moveTo(next);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const x = cursor?.x ?? (all[all.length - 1] as number);
      lift(chart, look, x, event.key === "ArrowUp" ? 1 : -1);
      moveTo(x);
    } else if (event.key === "Escape" && (cursor || look.lifted.peek())) {
      look.cursor.value = null;
      look.lifted.value = null;
    } else if (event.key === "+" || event.key === "-") {
      zoomBy(event.key === "+" ? 0.5 : 2, cursor?.x, props);
    } else if (event.key === "0") props.onZoom?.(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="curve-chart-plot">
      <div
        class="curve-chart-box"
        ref={box}
        role="application"
        aria-roledescription="chart"
        aria-label={summary(title, chart, name)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrows move the cursor of the chart
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => {
          if (look.cursor.peek()?.isKeys) look.cursor.value = null;
        }}
      />
      <span class="curve-chart-axis" aria-hidden="true">
        {name}
      </span>
      <span class="curve-chart-here" aria-hidden="true" />
      {chart.lines.length ? null : <p class="curve-chart-none">no rows yet</p>}
      <CursorTip
        title={title}
        chart={chart}
        axis={axis}
        isXLog={props.isXLog}
        isLog={props.isLog}
        look={look}
        columns={props.columns}
      />
      <p class="visually-hidden" aria-live="polite">
        {said}
      </p>
    </div>
  );
}

function positionsOf(chart: ChartLines, lifted: string | null): Float64Array {
  const line = chart.lines.find((each) => each.id === lifted) ?? longest(chart);
  return line ? line.x.filter((x) => x >= chart.x.least && x <= chart.x.largest) : new Float64Array();
}

function longest(chart: ChartLines): Line | undefined {
  return chart.lines.reduce<Line | undefined>(
    (best, line) => (best && best.x.length >= line.x.length ? best : line),
    undefined,
  );
}

function indexOf(all: Float64Array, x: number): number {
  let best = 0;
  for (let index = 1; index < all.length; index += 1) {
    if (Math.abs((all[index] as number) - x) <= Math.abs((all[best] as number) - x)) best = index;
  }
  return best;
}

/** Lifts the line above or below the lifted one. */
function lift(chart: ChartLines, look: LookState, x: number, direction: number) {
  const values = valuesAt(chart, x)
    .filter(({ shown }) => Number.isFinite(shown))
    .sort((left, right) => left.shown - right.shown);
  const at = values.findIndex(({ line }) => line.id === look.lifted.peek());
  const next = values[at < 0 ? (direction > 0 ? 0 : values.length - 1) : at + direction];
  if (next) look.lifted.value = next.line.id;
}

function zoomBy(factor: number, x: number | undefined, { chart, onZoom, isXLog }: CurveChartProps) {
  if (isXLog) return;
  const { least, largest } = chart.x;
  const middle = x ?? (least + largest) / 2;
  onZoom?.({ least: middle - (middle - least) * factor, largest: middle + (largest - middle) * factor });
}

/** uPlot with the lines drawn by this page, and a second canvas for what follows the pointer. */
class Plot {
  private readonly plot: uPlot;
  private readonly above: HTMLCanvasElement;
  private readonly line: HTMLDivElement;
  private readonly ends: (() => void)[] = [];
  private colours: Palette;

  constructor(
    private readonly box: HTMLElement,
    private readonly props: { readonly current: CurveChartProps },
  ) {
    this.colours = paletteOf(box);
    this.plot = new uPlot(this.options(), this.data(), box);
    this.above = document.createElement("canvas");
    this.above.className = "curve-chart-above";
    this.line = document.createElement("div");
    this.line.className = "curve-chart-cursor";
    this.plot.over.append(this.above, this.line);
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(box);
    const themes = new MutationObserver(() => this.repaint());
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.ends.push(
      () => sizes.disconnect(),
      () => themes.disconnect(),
      effect(() => this.paintAbove()),
    );
    this.listen();
  }

  destroy() {
    for (const end of this.ends) end();
    this.plot.destroy();
  }

  update() {
    this.plot.setData(this.data());
    this.paintAbove();
  }

  private data(): uPlot.AlignedData {
    const { x, y } = this.props.current.chart;
    return [
      [x.least, x.largest],
      [y.least, y.largest],
    ];
  }

  private resize() {
    const { width, height } = sizeOf(this.box);
    if (width === this.plot.width && height === this.plot.height) return;
    this.plot.setSize({ width, height });
    this.paintAbove();
  }

  private repaint() {
    this.colours = paletteOf(this.box);
    this.plot.redraw();
    this.paintAbove();
  }

  private options(): uPlot.Options {
    const { axis, isXLog, isLog } = this.props.current;
    const chart = () => this.props.current.chart;
    const text = () => this.colours("--ink3");
    const xParts = () =>
      Math.max(2, Math.floor(this.plot?.bbox ? this.plot.bbox.width / uPlot.pxRatio / 90 : 6));
    const yParts = () =>
      Math.max(2, Math.floor((this.plot?.bbox ? this.plot.bbox.height / uPlot.pxRatio : 200) / 48));
    const common = { font: `11px ${FONT}`, stroke: text, ticks: { show: false } };
    const xTicks = (): number[] => {
      const { least, largest } = chart().x;
      if (isXLog) return [...logTicks(least, largest, xParts()).labelled];
      return axis === "relative"
        ? durationTicks(least, largest, xParts())
        : linearTicks(least, largest, xParts());
    };
    return {
      ...sizeOf(this.box),
      padding: [6, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: {
          time: axis === "time",
          range: () => [chart().x.least, chart().x.largest],
          ...(isXLog ? { distr: 3, log: 10 } : {}),
        },
        y: {
          range: () => [chart().y.least, chart().y.largest],
          ...(isLog ? { distr: 3, log: 10 } : {}),
        },
      },
      axes: [
        {
          ...common,
          size: 26,
          gap: 8,
          grid: { show: false },
          space: 80,
          ...(axis === "time" && !isXLog
            ? {}
            : {
                splits: xTicks,
                filter: (_: uPlot, splits: number[]) => splits,
                values: (_: uPlot, splits: (number | null)[]) => {
                  const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0)) || 1;
                  const place = scaled(
                    chart().x,
                    isXLog,
                    this.plot ? this.plot.bbox.width / uPlot.pxRatio : 0,
                  );
                  return splits.map((value) =>
                    value === null || place(value) > place(chart().x.largest) - AXIS_ROOM
                      ? ""
                      : axis === "relative"
                        ? duration(value)
                        : isXLog
                          ? logLabel(value)
                          : tickLabel(value, step),
                  );
                },
              }),
        },
        {
          ...common,
          size: 52,
          gap: isLog ? 8 : 6,
          grid: {
            stroke: () => this.colours("--line"),
            width: 1,
            filter: (_: uPlot, splits: number[]) => {
              if (!isLog) return splits;
              const { labelled } = logTicks(chart().y.least, chart().y.largest, yParts());
              return splits.map((value) => (labelled.has(value) ? value : null));
            },
          },
          ticks: isLog
            ? { show: true, stroke: () => this.colours("--line2"), width: 1, size: 4 }
            : { show: false },
          splits: () => {
            const { least, largest } = chart().y;
            return isLog
              ? [...logTicks(least, largest, yParts()).all]
              : linearTicks(least, largest, yParts());
          },
          filter: (_: uPlot, splits: number[]) => {
            if (!isLog) return splits;
            const { labelled } = logTicks(chart().y.least, chart().y.largest, yParts());
            return splits.map((value) => (labelled.has(value) ? value : null));
          },
          values: (_: uPlot, splits: (number | null)[]) => {
            const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0));
            return splits.map((value) =>
              value === null ? "" : isLog ? logLabel(value) : tickLabel(value, step),
            );
          },
        },
      ],
      series: [{}, { scale: "y", paths: () => null, points: { show: false } }],
      cursor: {
        x: false,
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: DRAG },
        bind: { dblclick: () => () => null },
      },
      hooks: {
        draw: [(plot) => this.draw(plot)],
        setSelect: [(plot) => this.select(plot)],
      },
    };
  }

  private projection(plot: uPlot, isAbove: boolean): Projection {
    const ratio = uPlot.pxRatio;
    const { left, top, width, height } = plot.bbox;
    const { x, y } = this.props.current.chart;
    const { isXLog, isLog } = this.props.current;
    const across = scaled(x, isXLog, width);
    const down = scaled(y, isLog, height);
    const from = isAbove ? { left: 0, top: 0 } : { left, top };
    return {
      ...from,
      width,
      height,
      ratio,
      x: (value) => from.left + across(value),
      y: (value) => from.top + height - down(value),
    };
  }

  private draw(plot: uPlot) {
    const { chart, axis } = this.props.current;
    const at = this.projection(plot, false);
    drawLines(plot.ctx, chart, at, this.colours);
    drawMarks(plot.ctx, chart, at, this.colours, {
      font: `${11 * at.ratio}px ${FONT}`,
      isNarrow: at.width / at.ratio < 560,
      word: (gap) =>
        `${gap.word} ${gap.isAbout ? "by" : "from"} ${axisName(axis, chart.isNumbered)} ${position(axis, gap.from)}`,
    });
  }

  /** The lifted line, the dot on it, and the cursor. */
  private paintAbove() {
    const { look, chart, axis } = this.props.current;
    const cursor = look.cursor.value;
    const lifted = look.lifted.value;
    if (!this.above) return;
    const { width, height } = this.plot.bbox;
    if (this.above.width !== width || this.above.height !== height) {
      this.above.width = width;
      this.above.height = height;
    }
    const context = this.above.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, width, height);
    const at = this.projection(this.plot, true);
    const lines = chart.lines.filter(
      (line) => line.id === lifted || (line.band && line.runs.includes(lifted ?? "")),
    );
    for (const line of lines) drawLifted(context, line, at, this.colours);
    const left = cursor ? at.x(cursor.x) : Number.NaN;
    const isInside = left >= 0 && left <= width;
    this.line.hidden = !isInside;
    const here = this.box.parentElement?.querySelector<HTMLElement>(".curve-chart-here");
    if (here) here.hidden = !isInside;
    if (!cursor || !isInside) return;
    const place = left / at.ratio;
    this.line.style.transform = `translateX(${Math.round(place)}px)`;
    if (here) {
      here.textContent = position(axis, cursor.x);
      here.style.left = `${Math.round(this.plot.over.offsetLeft + place)}px`;
    }
    for (const { line, shown } of valuesAt({ ...chart, lines }, cursor.x)) {
      const top = at.y(shown);
      if (!Number.isFinite(top)) continue;
      context.beginPath();
      context.arc(left, top, 4 * at.ratio, 0, 2 * Math.PI);
      context.fillStyle = this.colours(line.stroke.isPlain ? "--ink" : line.stroke.token);
      context.strokeStyle = this.colours("--surface");
      context.lineWidth = 1.5 * at.ratio;
      context.fill();
      context.stroke();
    }
  }

  private select(plot: uPlot) {
    const { left, width } = plot.select;
    const { chart, isXLog, onZoom } = this.props.current;
    if (width < DRAG) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    const value = unscaled(chart.x, isXLog, plot.over.clientWidth);
    onZoom?.({ least: value(left), largest: value(left + width) });
  }

  private listen() {
    const { over } = this.plot;
    const { look } = this.props.current;
    let lifts = false;
    const onMove = (event: PointerEvent) => {
      const { chart, isXLog, title } = this.props.current;
      const rect = over.getBoundingClientRect();
      const left = event.clientX - rect.left;
      const x = unscaled(chart.x, isXLog, rect.width)(left);
      const at = this.projection(this.plot, true);
      const top = (event.clientY - rect.top) * at.ratio;
      let best: string | null = null;
      let distance = NEAR * at.ratio;
      for (const { line, shown } of valuesAt(chart, x)) {
        const away = Math.abs(at.y(shown) - top);
        if (away < distance) {
          distance = away;
          best = line.id;
        }
      }
      lifts = best !== null || lifts;
      if (look.lifted.peek() !== best) look.lifted.value = best;
      look.cursor.value = { key: title, x: snapped(chart, x, best), isKeys: false };
    };
    const onLeave = () => {
      look.cursor.value = null;
      if (lifts) look.lifted.value = null;
      lifts = false;
    };
    const onReset = () => this.props.current.onZoom?.(null);
    over.addEventListener("pointermove", onMove);
    over.addEventListener("pointerleave", onLeave);
    over.addEventListener("dblclick", onReset);
  }
}

function sizeOf(box: HTMLElement) {
  return { width: Math.max(80, box.clientWidth), height: Math.max(80, box.clientHeight) };
}
