// Scales: where a value lies on an axis, between 0 at its bottom and 1 at its top, and what is written there.
import { areNumbers, identityOf, numeric, rounded, textOf } from "./values";

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Scale {
  readonly kind: "linear" | "log" | "category";
  /** Whether a logarithmic axis is possible. */
  readonly canLog: boolean;
  readonly isReversed: boolean;
  readonly ticks: readonly Tick[];
  /** The categories, from the bottom of an axis that is not reversed. */
  readonly categories: readonly string[];
  /** The distinct finite numbers, the smallest first. */
  readonly numbers: readonly number[];
  /** Where a value lies; null for none, and for one that is not finite. */
  place(value: unknown): number | null;
  /** The number at a place. */
  invert(at: number): number;
}

export interface ScaleOptions {
  readonly log?: boolean | undefined;
  readonly isReversed?: boolean;
  /** Whether the values are those of a param, which are written on the axis if they are few. */
  readonly isParam?: boolean;
  /** Ends and ticks at round numbers. */
  readonly isRound?: boolean;
  /** The least distance of two ticks. */
  readonly gap?: number;
}

const FEW = 9; // values that are all written on an axis
const WIDE = 100; // the largest number by the smallest: from here on an axis is logarithmic
const FINE = 5; // values of a param between which the distances are compared

/** The scale of these values. */
export function scaleOf(values: readonly unknown[], options: ScaleOptions = {}): Scale {
  return areNumbers(values) ? numberScale(values, options) : categoryScale(values, options);
}

/** Whether a logarithmic axis shows positive numbers more evenly. */
export function wantsLog(numbers: readonly number[], isParam: boolean): boolean {
  const [first] = numbers;
  const last = numbers.at(-1);
  if (first === undefined || last === undefined || first <= 0) return false;
  if (last / first >= WIDE) return true;
  if (!isParam || numbers.length < 3 || last / first < FINE) return false;
  return unevenness(numbers.map(Math.log)) < unevenness(numbers);
}

function unevenness(numbers: readonly number[]): number {
  const gaps = numbers.slice(1).map((number, index) => number - (numbers[index] ?? 0));
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  return gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length / mean ** 2;
}

function numberScale(values: readonly unknown[], options: ScaleOptions): Scale {
  const finite = values.map(numeric).filter((value): value is number => Number.isFinite(value));
  const numbers = [...new Set(finite)].sort((one, other) => one - other);
  const isParam = options.isParam ?? false;
  const isReversed = options.isReversed ?? false;
  const canLog = (numbers[0] ?? 0) > 0;
  const isLog = canLog && (options.log ?? wantsLog(numbers, isParam));
  let low = numbers[0] ?? 0;
  let high = numbers.at(-1) ?? 1;
  const isFew = isParam && numbers.length <= FEW;
  const round = options.isRound && !isLog && !isFew ? roundTicks(low, high) : null;
  if (round) [low, high] = [round[0] ?? low, round.at(-1) ?? high];
  const [from, to] = isLog ? [Math.log(low), Math.log(high)] : [low, high];
  const share = (value: number) =>
    to > from ? ((isLog ? Math.log(value) : value) - from) / (to - from) : 0.5;
  const place = (value: unknown) => {
    const number = numeric(value);
    if (number === undefined || !Number.isFinite(number) || (isLog && number <= 0)) return null;
    return isReversed ? 1 - share(number) : share(number);
  };
  const invert = (at: number) => {
    const along = from + (isReversed ? 1 - at : at) * (to - from);
    return isLog ? Math.exp(along) : along;
  };
  const marked =
    round ?? (isFew ? numbers : isLog && options.isRound ? logTicks(low, high) : ends(low, high, invert));
  const ticks = marked.map((number) => ({ at: place(number) ?? 0, label: rounded(number, isFew ? 6 : 3) }));
  return {
    kind: isLog ? "log" : "linear",
    canLog,
    isReversed,
    ticks: apart(ticks, options.gap ?? 0),
    categories: [],
    numbers,
    place,
    invert,
  };
}

function ends(low: number, high: number, invert: (at: number) => number): number[] {
  return high > low ? [low, invert(0.5), high] : [low];
}

function categoryScale(values: readonly unknown[], options: ScaleOptions): Scale {
  const present = new Map(
    values.filter((value) => value !== undefined).map((value) => [identityOf(value), value]),
  );
  const categories = [...present.keys()].sort((one, other) => compare(present.get(one), present.get(other)));
  const plain = [...present.values()].map(textOf);
  const isReversed = options.isReversed ?? false;
  const at = (index: number) => {
    const share = categories.length > 1 ? index / (categories.length - 1) : 0.5;
    return isReversed ? 1 - share : share;
  };
  const places = new Map(categories.map((category, index) => [category, at(index)]));
  const ticks = categories.map((category, index) => {
    const text = textOf(present.get(category));
    const isDouble = plain.filter((other) => other === text).length > 1;
    return { at: at(index), label: isDouble || text === "" ? category : text };
  });
  return {
    kind: "category",
    canLog: false,
    isReversed,
    ticks: apart(ticks, options.gap ?? 0),
    categories,
    numbers: [],
    place: (value) => (value === undefined ? null : (places.get(identityOf(value)) ?? null)),
    invert: (share) => share,
  };
}

/** Numbers first, then texts, then the rest. */
function compare(one: unknown, other: unknown): number {
  const [a, b] = [order(one), order(other)];
  if (a !== b) return a - b;
  if (a === 0) return (numeric(one) ?? 0) - (numeric(other) ?? 0);
  return textOf(one) < textOf(other) ? -1 : 1;
}

function order(value: unknown): number {
  return numeric(value) !== undefined
    ? 0
    : typeof value === "boolean"
      ? 1
      : typeof value === "string"
        ? 2
        : 3;
}

/** The ticks that do not touch: the ends first, then from the bottom. */
function apart(ticks: readonly Tick[], gap: number): Tick[] {
  const kept: Tick[] = [];
  const inOrder = ticks.length > 2 ? [ticks[0], ticks.at(-1), ...ticks.slice(1, -1)] : ticks;
  for (const tick of inOrder) {
    if (tick && kept.every((other) => Math.abs(other.at - tick.at) >= gap)) kept.push(tick);
  }
  return kept.sort((one, other) => one.at - other.at);
}

/** Four to eight round numbers around a range. */
export function roundTicks(low: number, high: number): number[] {
  if (!(high > low)) {
    const around = Math.abs(low) / 10 || 1;
    return roundTicks(low - around, high + around);
  }
  const rough = (high - low) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 2.5, 5, 10].find((factor) => factor * unit >= rough) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

/** The decades in a range, with the ends of the range; without a decade between them only these. */
function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  const factors = high / low < 1000 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(12));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : [low, high];
}
