// The mean over several runs, with a band around it.
import { firstFrom } from "./lookup";

export type Band = "range" | "deviation";

export interface Averaged {
  readonly x: Float64Array;
  readonly mean: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** How many runs each point has. */
  readonly count: Uint16Array;
}

const MOST = 1_000;

/** The value of a line between its points; NaN outside of them, and beside a gap. */
export function valueBetween(x: Float64Array, y: Float64Array, at: number): number {
  const after = firstFrom(x, at);
  if (after < x.length && x[after] === at) return y[after] as number;
  if (after === 0 || after === x.length) return Number.NaN;
  const from = x[after - 1] as number;
  const to = x[after] as number;
  const share = (at - from) / (to - from);
  return (y[after - 1] as number) * (1 - share) + (y[after] as number) * share;
}

/** The mean of some lines at all their positions, at most MOST, over those that have a finite value there. */
export function averaged(lines: readonly { x: Float64Array; y: Float64Array }[], band: Band): Averaged {
  const all = Float64Array.from(new Set(lines.flatMap(({ x }) => [...x]))).sort();
  const stride = Math.max(1, Math.ceil(all.length / MOST));
  const x = all.filter((_, index) => index % stride === 0 || index === all.length - 1);
  const mean = new Float64Array(x.length);
  const low = new Float64Array(x.length);
  const high = new Float64Array(x.length);
  const count = new Uint16Array(x.length);
  for (let index = 0; index < x.length; index += 1) {
    const at = x[index] as number;
    const values = lines.map((line) => valueBetween(line.x, line.y, at)).filter(Number.isFinite);
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    count[index] = values.length;
    mean[index] = values.length ? middle : Number.NaN;
    if (band === "range") {
      low[index] = values.length ? Math.min(...values) : Number.NaN;
      high[index] = values.length ? Math.max(...values) : Number.NaN;
    } else {
      const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
      const deviation = values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0;
      low[index] = values.length ? middle - deviation : Number.NaN;
      high[index] = values.length ? middle + deviation : Number.NaN;
    }
  }
  return { x, mean, low, high, count };
}
