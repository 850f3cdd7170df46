// Which colour and dash a run has.
import type { Run } from "./model";

export interface Stroke {
  /** The name of a token: `--series-3`, `--sequence-2`, `--line2`. */
  readonly token: string;
  readonly dash: readonly number[];
  /** A run without a hue of its own: thin, and coloured only while it is lifted. */
  readonly isPlain: boolean;
}

export const HUES = 12;
export const MOST_HUES = 24;
const STEPS = 5;
const DASHED = [7, 3];
const DOTTED = [2, 3];

/** The stroke of a number, from 0: solid to 6, dashed to 12, then dotted; none above 24. */
export function strokeOf(number: number): Stroke {
  if (number >= MOST_HUES) return { token: "--line2", dash: [], isPlain: true };
  const dash = number >= HUES ? DOTTED : number >= HUES / 2 ? DASHED : [];
  return { token: `--series-${(number % HUES) + 1}`, dash, isPlain: false };
}

/** The step of a value in a sequence of five colours; the largest value has the strongest. */
export function stepOf(value: number, values: readonly number[]): number {
  const sorted = [...new Set(values)].sort((left, right) => left - right);
  if (sorted.length <= STEPS) {
    const place = sorted.indexOf(value);
    return sorted.length < 2 ? STEPS : 1 + Math.round((place * (STEPS - 1)) / (sorted.length - 1));
  }
  const [least, largest] = [sorted[0] as number, sorted[sorted.length - 1] as number];
  const isWide = least > 0 && largest / least >= 100;
  const share = isWide
    ? Math.log(value / least) / Math.log(largest / least)
    : (value - least) / (largest - least);
  return 1 + Math.min(STEPS - 1, Math.floor(share * STEPS));
}

/**
 * The strokes of runs.
 *
 * @param runs all runs of the view
 * @param shown the ids of those that are drawn: if there are more runs than hues, these share the hues out
 * @param by a param whose value gives the colour; null for each run its own
 */
export function strokes(
  runs: readonly Run[],
  shown: ReadonlySet<string>,
  by: string | null,
): Map<string, Stroke> {
  if (by !== null) return byParam(runs, by);
  const isMany = runs.length > MOST_HUES;
  const drawn = runs.filter((run) => shown.has(run.id));
  const places = new Map(drawn.map((run, place) => [run.id, place]));
  const sharesOut = isMany && drawn.length <= MOST_HUES;
  return new Map(
    runs.map((run) => {
      const place = sharesOut ? (places.get(run.id) ?? MOST_HUES) : isMany ? MOST_HUES : run.number;
      return [run.id, strokeOf(place)];
    }),
  );
}

function byParam(runs: readonly Run[], by: string): Map<string, Stroke> {
  const values = runs.map((run) => run.params[by]);
  const numeric = values.filter((value): value is number => typeof value === "number");
  if (numeric.length && numeric.length === values.filter((value) => value !== undefined).length) {
    return new Map(
      runs.map((run) => {
        const value = run.params[by];
        const token = typeof value === "number" ? `--sequence-${stepOf(value, numeric)}` : "--ctl";
        return [run.id, { token, dash: typeof value === "number" ? [] : DOTTED, isPlain: false }];
      }),
    );
  }
  const kinds = [...new Set(values.map((value) => JSON.stringify(value) ?? ""))];
  return new Map(runs.map((run) => [run.id, strokeOf(kinds.indexOf(JSON.stringify(run.params[by]) ?? ""))]));
}
