// From curves and settings to what one chart draws.
import { averaged } from "./averages";
import type { Stroke } from "./colours";
import type { Curve, Run } from "./model";
import { type Drawn, type Extent, extentOf, padded, type Span, widthOf } from "./ranges";
import { smoothed } from "./smoothing";

export interface Gap {
  /** The last finite point before it. */
  readonly x: number;
  readonly y: number;
  /** The position of the first number that is not finite, and what it is. */
  readonly from: number;
  readonly word: "NaN" | "∞" | "−∞";
  /** Whether no finite number follows. */
  readonly isFinal: boolean;
}

/** One line of a chart: a run, an earlier attempt of one, or the mean over several. */
export interface Line extends Drawn {
  readonly id: string;
  readonly runs: readonly string[];
  readonly attempt: number | null;
  readonly stroke: Stroke;
  /** What is drawn: smoothed, or the mean. */
  readonly y: Float64Array;
  /** The numbers themselves, drawn faint where `y` is smoothed. */
  readonly raw: Float64Array | null;
  /** The least and largest number of each point, where a point is several. */
  readonly min: Float64Array | null;
  readonly max: Float64Array | null;
  /** The band of a mean. */
  readonly band: { readonly low: Float64Array; readonly high: Float64Array } | null;
  /** How many runs each point of a mean has. */
  readonly count: Uint16Array | null;
  readonly gaps: readonly Gap[];
  /** The status of a run that did not complete, at its last point. */
  readonly end: { readonly x: number; readonly y: number; readonly status: string } | null;
}

export interface ChartLines {
  readonly lines: readonly Line[];
  readonly x: Span;
  readonly y: Span;
  readonly extent: Extent;
  /** How many points a logarithmic x axis cannot show. */
  readonly xNotPositive: number;
  readonly isNumbered: boolean;
}

export interface LineOptions {
  readonly runs: readonly Run[];
  readonly strokes: ReadonlyMap<string, Stroke>;
  readonly smoothing: number;
  readonly isXLog: boolean;
  readonly isLog: boolean;
  readonly isWhole: boolean;
  readonly zoom: Span | null;
  /** Runs whose mean is drawn, instead of themselves. */
  readonly groups: readonly (readonly Run[])[] | null;
  readonly band: "range" | "deviation";
}

const WEAK: Pick<Stroke, "dash"> = { dash: [2, 3] };

export function linesOf(curves: readonly Curve[], options: LineOptions): ChartLines {
  const byId = new Map(options.runs.map((run) => [run.id, run]));
  const own = curves.filter((curve) => curve.x.length && byId.has(curve.run));
  const lines = options.groups
    ? options.groups.flatMap((group) => meanOf(group, own, options))
    : own.map((curve) => lineOf(curve, byId.get(curve.run) as Run, options));
  const extent = extentOf(lines, {
    isLog: options.isLog,
    isWhole: options.isWhole,
    window: options.zoom,
  });
  const width = options.zoom ?? widthOf(lines, options.isXLog);
  const x = width ?? (options.isXLog ? { least: 1, largest: 10 } : { least: 0, largest: 1 });
  const xNotPositive = options.isXLog
    ? lines.reduce((sum, line) => sum + line.x.filter((value) => !(value > 0)).length, 0)
    : 0;
  return {
    lines,
    x: x.largest > x.least ? x : { least: x.least - 0.5, largest: x.largest + 0.5 },
    y: padded(extent.span, options.isLog),
    extent,
    xNotPositive,
    isNumbered: own.some((curve) => curve.isNumbered),
  };
}

const NO_STROKE: Stroke = { token: "--ctl", dash: [], isPlain: true };

function lineOf(curve: Curve, run: Run, options: LineOptions): Line {
  const stroke = options.strokes.get(run.id) ?? NO_STROKE;
  const y = smoothed(curve.last, options.smoothing);
  const isSmoothed = y !== curve.last;
  return {
    id: curve.attempt === null ? run.id : `${run.id} ${curve.attempt}`,
    runs: [run.id],
    attempt: curve.attempt,
    stroke: curve.attempt === null ? stroke : { ...stroke, ...WEAK },
    x: curve.x,
    y,
    raw: isSmoothed ? curve.last : null,
    min: curve.min,
    max: curve.max,
    low: isSmoothed ? y : (curve.min ?? y),
    high: isSmoothed ? y : (curve.max ?? y),
    band: null,
    count: null,
    gaps: gapsOf(curve.x, curve.last, y),
    end: curve.attempt === null && run.status !== "COMPLETED" ? endOf(curve.x, y, run.status) : null,
  };
}

/** Where a line has no finite number. */
export function gapsOf(x: Float64Array, values: Float64Array, drawn: Float64Array): Gap[] {
  const gaps: Gap[] = [];
  let before = -1;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (Number.isFinite(value)) {
      before = index;
      continue;
    }
    const first = index;
    while (index + 1 < values.length && !Number.isFinite(values[index + 1] as number)) index += 1;
    const at = before >= 0 ? before : index + 1;
    if (at >= values.length) break;
    gaps.push({
      x: x[at] as number,
      y: drawn[at] as number,
      from: x[first] as number,
      word: Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞",
      isFinal: index + 1 === values.length,
    });
  }
  return gaps;
}

function endOf(x: Float64Array, y: Float64Array, status: string) {
  const last = y.length - 1;
  const isNumber = Number.isFinite(y[last] as number);
  return isNumber ? { x: x[last] as number, y: y[last] as number, status } : null;
}

function meanOf(group: readonly Run[], curves: readonly Curve[], options: LineOptions): Line[] {
  const members = curves.filter(
    (curve) => curve.attempt === null && group.some((run) => run.id === curve.run),
  );
  const [first] = members;
  if (!first) return [];
  const { x, mean, low, high, count } = averaged(
    members.map((curve) => ({ x: curve.x, y: smoothed(curve.last, options.smoothing) })),
    options.band,
  );
  return [
    {
      id: first.run,
      runs: members.map((curve) => curve.run),
      attempt: null,
      stroke: options.strokes.get(first.run) ?? NO_STROKE,
      x,
      y: mean,
      raw: null,
      min: null,
      max: null,
      low,
      high,
      band: { low, high },
      count,
      gaps: [],
      end: null,
    },
  ];
}
