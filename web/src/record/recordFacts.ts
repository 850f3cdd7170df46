// What is said of a record beside its status.
import type { RecordViewDocument } from "../api/documents/record-view";
import { bytes, count, duration } from "../ui/format";
import type { RecordEntry } from "./recordTabs";

/** `1 opening, generation 1`. */
export function openingsFact({ openings }: RecordEntry): string {
  const generation = Math.max(...openings.map((opening) => opening.generation));
  return `${count(openings.length)} ${openings.length === 1 ? "opening" : "openings"}, generation ${generation}`;
}

/** What is not sure of a record that another machine writes: when it was heard, what has not arrived, its clock. */
export function lateFacts(entry: RecordEntry, view: RecordViewDocument): string[] {
  const facts: string[] = [];
  const { heard } = entry;
  if (heard) facts.push(`last heard of ${duration(heard.age)} ago`);
  const missing = view.not_here;
  if (missing?.files) facts.push(`not here yet, ${bytes(missing.bytes)} to go`);
  if (heard?.skew) {
    const ahead = heard.skew > 0 ? "ahead" : "behind";
    facts.push(`that machine's clock is ${duration(Math.abs(heard.skew))} ${ahead}`);
  }
  return facts;
}

/** `a/b/c` as its parts, each with the prefix up to it. */
export function prefixParts(prefix: string): { name: string; path: string }[] {
  const parts = prefix.split("/");
  return parts.map((name, index) => ({ name, path: parts.slice(0, index + 1).join("/") }));
}

/** A number in at most six digits, for columns; the exact one belongs in the title. */
export function shortNumber(value: number | string): string {
  if (typeof value === "string" || !Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return count(value);
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(3).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(5)));
}
