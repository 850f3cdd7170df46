// How values differ: the part of a text that changed, and how far a number is from another.
import { exactJson, NumberText } from "../sweep/exactNumbers";
import { rounded } from "../sweep/values";

/** A text in what it has in common with another at its begin and end, and what is its own. */
export type Parts = readonly [before: string, own: string, after: string];

const LEAST_COMMON = 3; // characters: less is a coincidence

/** The parts of a text; null if too little of it is the same to say that a part changed. */
export function changedPart(text: string, other: string): Parts | null {
  const [own, others] = [[...text], [...other]];
  let start = 0;
  while (start < own.length && start < others.length && own[start] === others[start]) start += 1;
  let end = 0;
  const most = Math.min(own.length, others.length) - start;
  while (end < most && own[own.length - 1 - end] === others[others.length - 1 - end]) end += 1;
  if (start + end < LEAST_COMMON) return null;
  return [
    own.slice(0, start).join(""),
    own.slice(start, own.length - end).join(""),
    own.slice(own.length - end).join(""),
  ];
}

/** How a number differs from the first: `×4` from twice on, else `+0.0056` or `−0.0209`; empty if it cannot be said. */
export function difference(first: unknown, other: unknown): string {
  const [from, to] = [numberOf(first), numberOf(other)];
  if (from === null || to === null || from === to) return "";
  const ratio = to / from;
  if (from > 0 && to > 0 && ratio >= 2) return `×${rounded(ratio, 2)}`;
  const change = to - from;
  return `${change < 0 ? "−" : "+"}${rounded(Math.abs(change), 3)}`;
}

function numberOf(value: unknown): number | null {
  const number = value instanceof NumberText ? value.value : null;
  return number !== null && Number.isFinite(number) ? number : null;
}

/** A value as it is shown: texts without quotes unless they would read as another type. */
export function shown(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") return exactJson(value);
  const isOther =
    value.trim() !== value ||
    value === "" ||
    /^(true|false|null|[-+]?[\d.][\d.eE+-]*|[[{"'].*)$/s.test(value);
  return isOther ? JSON.stringify(value) : value;
}
