/**
 * The exponential moving average of a curve, without the bias of its beginning towards 0.
 *
 * Numbers that are not finite stay as they are, and the average continues after them.
 *
 * @param values the numbers
 * @param weight of what was before, from 0 (no smoothing) to below 1
 */
export function smoothed(values: Float64Array, weight: number): Float64Array {
  if (!(weight > 0)) return values;
  const result = new Float64Array(values.length);
  let average = 0;
  let share = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (!Number.isFinite(value)) {
      result[index] = value;
      continue;
    }
    average = average * weight + value * (1 - weight);
    share = share * weight + (1 - weight);
    result[index] = average / share;
  }
  return result;
}
