// Curves to which a running program appends.
import type { Axis, Curve } from "./model";

/** Numbers that were appended to a metric, with their axes; null where a row has none. */
export interface Points {
  readonly step: readonly (number | null)[];
  readonly epoch: readonly (number | null)[];
  readonly time: readonly (number | null)[];
  readonly value: readonly (number | string | null)[];
}

export interface AppendOptions {
  readonly axis: Axis;
  /** The Unix time at which `relative` is 0. */
  readonly begin: number;
  /** The window; null for all. */
  readonly from: number | null;
  readonly to: number | null;
  /** How many points were asked for: with twice as many, the curve is sampled anew. */
  readonly points: number;
}

/** A curve with what was appended; null if it has to be read again to know where that lies. */
export function extended(curve: Curve, more: Points, options: AppendOptions): Curve | null {
  if (curve.isNumbered) return null;
  const { axis, begin, from, to, points } = options;
  const positions = axis === "step" || axis === "epoch" ? more[axis] : more.time;
  const shift = axis === "relative" ? begin : 0;
  const x: number[] = [];
  const values: number[] = [];
  let before = curve.x.length ? (curve.x[curve.x.length - 1] as number) : Number.NEGATIVE_INFINITY;
  for (const [index, position] of positions.entries()) {
    if (position === null) return null;
    const at = position - shift;
    if (at < before) return null;
    if (to !== null && at > to) continue;
    if (from !== null && at < from) continue;
    before = at;
    x.push(at);
    values.push(numberOf(more.value[index]));
  }
  if (!x.length) return curve;
  if (curve.x.length + x.length > 2 * points) return null;
  return {
    ...curve,
    x: joined(curve.x, x),
    last: joined(curve.last, values),
    min: curve.min && joined(curve.min, values),
    max: curve.max && joined(curve.max, values),
    total: curve.total + x.length,
  };
}

/** A number of a document, in which those that are not finite are words or null. */
export function numberOf(value: number | string | null | undefined): number {
  if (typeof value === "number") return value;
  if (value === "Infinity") return Number.POSITIVE_INFINITY;
  return value === "-Infinity" ? Number.NEGATIVE_INFINITY : Number.NaN;
}

function joined(before: Float64Array, more: readonly number[]): Float64Array {
  const all = new Float64Array(before.length + more.length);
  all.set(before);
  all.set(more, before.length);
  return all;
}
