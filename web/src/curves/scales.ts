// From values to places on a linear or logarithmic axis, and back.
import type { Span } from "./ranges";

/** The place of a value on an axis of a size; NaN for what a logarithmic one cannot show. */
export function scaled({ least, largest }: Span, isLog: boolean, size: number): (value: number) => number {
  if (!isLog) return (value) => ((value - least) / (largest - least)) * size;
  const first = Math.log10(least);
  const span = Math.log10(largest) - first;
  return (value) => (value > 0 ? ((Math.log10(value) - first) / span) * size : Number.NaN);
}

/** The value at a place. */
export function unscaled({ least, largest }: Span, isLog: boolean, size: number): (place: number) => number {
  if (!isLog) return (place) => least + (place / size) * (largest - least);
  const first = Math.log10(least);
  const span = Math.log10(largest) - first;
  return (place) => 10 ** (first + (place / size) * span);
}
