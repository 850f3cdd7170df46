// Values of params and metrics: what they are, and how they are written in a column.
import { ExactNumber, type Json, jsonText } from "../ui/exactJson";

/** Of the values that a metric had in a run: which one a column shows. */
export const FUNCTIONS = ["last", "min", "max", "mean"] as const;
export type MetricFunction = (typeof FUNCTIONS)[number] | "count";

const NOT_FINITE: Readonly<Record<string, number>> = { NaN, Infinity, "-Infinity": -Infinity };
const DIGITS = 4; // significant digits of a metric in a table
const LONGEST = 9; // characters of a param that is not rounded
const SMALLEST = 1e-4; // below it, and from LARGEST on, numbers are written with an exponent
const LARGEST = 1e6;

/** The number that a document has as this value; `NaN` and infinities are words there. */
export function numeric(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (value instanceof ExactNumber) return Number(value.text);
  return typeof value === "string" && Object.hasOwn(NOT_FINITE, value) ? NOT_FINITE[value] : undefined;
}

/** Whether the values lie on a scale of numbers: all that are there are numbers, one of them finite. */
export function areNumbers(values: readonly unknown[]): boolean {
  let hasNumber = false;
  for (const value of values) {
    if (value === undefined) continue;
    if (numeric(value) === undefined) return false;
    hasNumber ||= typeof value !== "string" && Number.isFinite(numeric(value));
  }
  return hasNumber;
}

/** A value as text: texts as they are, all others as JSON, the empty text for none. */
export function textOf(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : jsonText(value as Json);
}

/** A value as text that no value of another type has. */
export function identityOf(value: unknown): string {
  if (value === undefined) return "";
  if (value instanceof ExactNumber) return value.text;
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** A number with so many significant digits, without zeros at its end. */
export function rounded(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value < 0 ? "-inf" : "inf";
  const near = Number(value.toPrecision(digits));
  const size = Math.abs(near);
  if (size !== 0 && (size < SMALLEST || size >= LARGEST)) {
    return near.toExponential().replace("e+", "e");
  }
  return String(near);
}

/** How the values of a column are written: metrics with the same number of decimals, params as they are. */
export function formatOf(values: readonly unknown[], isMetric: boolean): (value: unknown) => string {
  const decimals = isMetric ? decimalsOf(values) : null;
  const others = new Set(values.filter((value) => typeof value !== "string").map(textOf));
  return (value) => {
    const number = isMetric ? numeric(value) : typeof value === "number" ? value : undefined;
    if (number === undefined || value instanceof ExactNumber) {
      return typeof value === "string" && others.has(value) ? JSON.stringify(value) : textOf(value);
    }
    if (!Number.isFinite(number)) return rounded(number);
    if (decimals !== null) return number.toFixed(decimals);
    const text = String(number);
    const isShort = text.length <= LONGEST || (!isMetric && Number.isSafeInteger(number));
    return isShort ? text : rounded(number, isMetric ? DIGITS : 6);
  };
}

/** The decimals with which all numbers keep at least two digits; null if they differ too much in size. */
function decimalsOf(values: readonly unknown[]): number | null {
  const sizes = values
    .map(numeric)
    .filter((value): value is number => value !== undefined && Number.isFinite(value) && value !== 0)
    .map(Math.abs);
  if (!sizes.length) return null;
  if (sizes.every(Number.isInteger)) return sizes.every((size) => size < LARGEST) ? 0 : null;
  const largest = Math.max(...sizes);
  const before = Math.floor(Math.log10(largest)) + 1;
  const decimals = before > 0 ? Math.max(0, DIGITS - before) : DIGITS + Math.max(0, -before - 1);
  return largest < LARGEST && decimals <= 8 && Math.min(...sizes) >= 10 ** (1 - decimals) ? decimals : null;
}
