// Positions of ticks, and how numbers are written on axes and in tables.

/** The 1–2–5 step that divides a range into at most so many parts. */
export function niceStep(span: number, parts: number): number {
  const rough = span / Math.max(1, parts);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough * 0.999) ?? 10;
  return step * power;
}

/** Ticks of a linear axis, from the least one inside of the range. */
export function linearTicks(least: number, largest: number, most: number): number[] {
  if (!(largest > least)) return [least];
  const step = niceStep(largest - least, most);
  const ticks: number[] = [];
  const first = Math.ceil(least / step - 1e-9);
  // counted, since the next number of a large one may be itself
  for (let index = 0; index <= most + 1 && (first + index) * step <= largest + step * 1e-9; index += 1) {
    ticks.push(Number(((first + index) * step).toPrecision(12)));
  }
  return ticks;
}

export interface LogTicks {
  /** All ticks, those between the decades too. */
  readonly all: readonly number[];
  /** Those with a label and a line. */
  readonly labelled: ReadonlySet<number>;
}

/** Ticks of a logarithmic axis: its decades, and those between them while there is room. */
export function logTicks(least: number, largest: number, most: number): LogTicks {
  // while an axis changes from linear to logarithmic, it has the range of the other one
  if (!(least > 0) || !Number.isFinite(largest)) return { all: [], labelled: new Set() };
  const first = Math.floor(Math.log10(least));
  const last = Math.ceil(Math.log10(largest));
  const decades = last - first;
  const all: number[] = [];
  const labelled = new Set<number>();
  const stride = Math.max(1, Math.ceil(decades / Math.max(1, most)));
  const between = Math.log10(largest / least) < 1.3 ? [1, 2, 5] : [1];
  for (let power = first; power <= last; power += 1) {
    for (let digit = 1; digit < 10; digit += 1) {
      const value = Number(`${digit}e${power}`);
      if (value < least * (1 - 1e-9) || value > largest * (1 + 1e-9)) continue;
      const isLabelled = between.includes(digit) && (power - first) % stride === 0;
      if (isLabelled) labelled.add(value);
      if (isLabelled || stride === 1) all.push(value);
    }
  }
  return { all, labelled };
}

/** A number with the digits that a step between ticks needs; `1.2e-7`, `3e9`, `20k` where that is shorter. */
export function tickLabel(value: number, step: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-4 || step < 1e-6) return compact(value);
  const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(Math.abs(step) || size) + 1e-9)));
  return value.toFixed(digits);
}

/** The label of a decade or of a tick between. */
export function logLabel(value: number): string {
  const size = Math.abs(value);
  return size >= 1e4 || size < 1e-3 ? compact(value) : String(Number(value.toPrecision(3)));
}

function compact(value: number): string {
  const size = Math.abs(value);
  for (const [unit, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (size >= unit && size < unit * 1000) return `${Number((value / unit).toPrecision(6))}${letter}`;
  }
  return String(Number(value.toPrecision(4))).replace("e+", "e");
}

/** A value in a table: four digits that count, `NaN`, `∞`. */
export function shortValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return String(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(3).replace("e+", "e");
  return size >= 1000 ? value.toFixed(1) : value.toPrecision(4).replace(/^(-?0\.\d{4})\d+$/, "$1");
}

/** A number as Python writes it: as `exp metrics --format csv` has it. */
export function exactValue(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 2 ** 53) return String(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits, power = "0"] = value.toExponential().split("e");
    const exponent = Number(power);
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return String(value);
}

const SECONDS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
];

/** Ticks of an axis of seconds since a start. */
export function durationTicks(least: number, largest: number, most: number): number[] {
  const span = largest - least;
  if (span / most < 1) return linearTicks(least, largest, most);
  const days = niceStep(span / 86_400, most) * 86_400;
  const step = SECONDS.find((each) => span / each <= most) ?? days;
  const ticks: number[] = [];
  for (let number = Math.ceil(least / step - 1e-9); number * step <= largest; number += 1) {
    ticks.push(number * step + 0);
  }
  return ticks;
}
