// Positions and values in words.
import { absolute, clockText, count, duration } from "../ui/format";
import type { ChartLines, Line } from "./lines";
import { pointAt } from "./lookup";
import type { Axis } from "./model";
import { shortValue } from "./ticks";

/** The name of an axis; the rows of a program that logs no step are counted. */
export function axisName(axis: Axis, isNumbered: boolean): string {
  return isNumbered && axis !== "time" && axis !== "relative" ? "row" : axis;
}

/** A position on an axis: `42,000`, `12m04`, `14:42:24`. */
export function position(axis: Axis, x: number): string {
  if (axis === "relative") return x < 10 ? `${Number(x.toPrecision(3))}s` : duration(x);
  if (axis === "time") return clockText(new Date(x * 1000));
  return Number.isInteger(x) ? count(x) : String(Number(x.toPrecision(6)));
}

export function longPosition(axis: Axis, x: number): string {
  const date = new Date(x * 1000);
  const isDate = axis === "time" && !Number.isNaN(date.getTime());
  return isDate ? absolute(date.toISOString()) : position(axis, x);
}

/** The point of a line at a position: its value as drawn, and the number itself. */
export interface ValueAt {
  readonly line: Line;
  readonly index: number;
  readonly shown: number;
  readonly raw: number;
}

export function valuesAt(chart: ChartLines, x: number): ValueAt[] {
  const tolerance = (chart.x.largest - chart.x.least) / 200;
  return chart.lines.flatMap((line) => {
    if (line.attempt !== null) return [];
    const index = pointAt(line.x, x, tolerance);
    if (index < 0) return [];
    const shown = line.y[index] as number;
    return [{ line, index, shown, raw: line.raw ? (line.raw[index] as number) : shown }];
  });
}

/** The position of the point nearest to one. */
export function snapped(chart: ChartLines, x: number, lifted: string | null): number {
  const own = chart.lines.filter((line) => line.id === lifted);
  let best = x;
  let distance = Number.POSITIVE_INFINITY;
  for (const line of own.length ? own : chart.lines) {
    const index = pointAt(line.x, x, Number.POSITIVE_INFINITY);
    const at = line.x[index];
    if (at !== undefined && Math.abs(at - x) < distance) {
      distance = Math.abs(at - x);
      best = at;
    }
  }
  return best;
}

/** A chart in one sentence, for those who cannot see it. */
export function summary(key: string, chart: ChartLines, axis: string): string {
  const own = chart.lines.filter((line) => line.attempt === null);
  if (!own.length) return `${key}: no rows yet.`;
  const ends = own.map((line) => lastOf(line)).filter(Number.isFinite);
  const least = Math.min(...ends);
  const largest = Math.max(...ends);
  const values =
    ends.length === 0
      ? "no finite value"
      : least === largest
        ? `last value ${shortValue(least)}`
        : `last values ${shortValue(least)} to ${shortValue(largest)}`;
  const missing = own.filter((line) => line.gaps.some((gap) => gap.isFinal)).length;
  return `${key} by ${axis}: ${own.length === 1 ? "one line" : `${own.length} lines`}, ${values}${
    missing ? `, ${missing} end without a number` : ""
  }.`;
}

function lastOf(line: Line): number {
  for (let index = line.y.length - 1; index >= 0; index -= 1) {
    if (Number.isFinite(line.y[index] as number)) return line.y[index] as number;
  }
  return Number.NaN;
}

/** How many points there are for each run: what the toolbar always says. */
export function sampling(lines: readonly { shown: number; total: number }[]): string {
  const sampled = lines.filter((line) => line.total > line.shown);
  if (!lines.length) return "no rows yet";
  if (!sampled.length) {
    const totals = lines.map((line) => line.total);
    const most = Math.max(...totals);
    const isEqual = totals.every((total) => total === most);
    return `every point shown: ${isEqual ? "" : "up to "}${count(most)} a run`;
  }
  const largest = sampled.reduce((left, right) => (right.total > left.total ? right : left));
  return `${count(largest.shown)} of ${count(largest.total)} points shown, min and max kept`;
}
