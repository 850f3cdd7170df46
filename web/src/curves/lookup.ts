// Where a position is among the points of a curve.

/** The index of the first of rising numbers that is not less than a value. */
export function firstFrom(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of the point nearest to a position; -1 of none. */
export function nearest(sorted: Float64Array, value: number): number {
  const after = firstFrom(sorted, value);
  if (after === 0) return sorted.length ? 0 : -1;
  if (after === sorted.length) return after - 1;
  const isBefore = value - (sorted[after - 1] as number) <= (sorted[after] as number) - value;
  return isBefore ? after - 1 : after;
}

/**
 * The index of the point that a curve has at a position; -1 before its first point and after its last one.
 *
 * @param tolerance how far outside of the curve counts as its end
 */
export function pointAt(sorted: Float64Array, value: number, tolerance = 0): number {
  const found = nearest(sorted, value);
  if (found < 0) return -1;
  const first = sorted[0] as number;
  const last = sorted[sorted.length - 1] as number;
  return value < first - tolerance || value > last + tolerance ? -1 : found;
}

/** Whether no number is less than the one before. */
export function isRising(values: Float64Array): boolean {
  for (let index = 1; index < values.length; index += 1) {
    if (!((values[index - 1] as number) <= (values[index] as number))) return false;
  }
  return true;
}
