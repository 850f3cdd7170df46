// JSON whose numbers keep all their digits.

/** A number as it is written, where a number of JavaScript would be another one. */
export class ExactNumber {
  constructor(readonly text: string) {}
}

export type Json =
  | string
  | number
  | boolean
  | null
  | ExactNumber
  | readonly Json[]
  | { readonly [name: string]: Json };

const MAY_CHANGE = /(?<![.\d])\d{16}|\d[eE][-+]?\d{3}/;
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** The value of a JSON text; integers beyond 2^53, and what is no double, are `ExactNumber`. */
export function parseExact(text: string): Json {
  if (!MAY_CHANGE.test(text)) return JSON.parse(text); // many times faster
  const mark = `exact ${Math.random()} `; // no text of the document begins with it
  const marked = text.replace(TOKEN, (token) =>
    token.startsWith('"') || isSame(Number(token), token) ? token : `"${mark}${token}"`,
  );
  return JSON.parse(marked, (_name, value) =>
    typeof value === "string" && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value,
  );
}

function isSame(value: number, source: string): boolean {
  if (/^-?\d+$/.test(source)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && (value !== 0 || !/[1-9]/.test(source.split(/e/i, 1)[0] ?? ""));
}

/** A value on one line, as JSON writes it; a text without quotes unless it could be read as another value. */
export function plainValue(value: Json | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "string") return looksLikeJson(value) ? JSON.stringify(value) : value;
  return jsonText(value);
}

function looksLikeJson(text: string): boolean {
  return text === "" || text !== text.trim() || /^(-?\d|true$|false$|null$|[[{"])/.test(text);
}

/** A value as JSON, on one line. */
export function jsonText(value: Json): string {
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const pairs = Object.entries(value).map(
      ([name, each]) => `${JSON.stringify(name)}: ${jsonText(each as Json)}`,
    );
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}
