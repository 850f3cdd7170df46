// Brushes: the part of an axis that is kept, which is the same as conditions of `exp compare --where`.
import { type Column, findColumn } from "./columns";
import type { Scale } from "./scales";
import { identityOf, numeric } from "./values";

/** What a brush keeps: numbers from and to, null for no bound; or categories. */
export type Brush =
  | { readonly kind: "numbers"; readonly from: number | null; readonly to: number | null }
  | { readonly kind: "categories"; readonly kept: readonly string[] };

export interface Condition {
  readonly text: string;
  readonly column: Column | undefined;
  readonly operator: string;
  readonly value: string;
}

const OPERATOR = /<=|>=|!=|==|=|<|>/g;

/** A condition in its parts, by the longest key that is a column: names may contain operators. */
export function parsed(text: string, columns: readonly Column[]): Condition | null {
  const splits = [...text.matchAll(OPERATOR)]
    .map((match) => ({
      key: text.slice(0, match.index).trim(),
      operator: match[0],
      value: text.slice(match.index + match[0].length).trim(),
    }))
    .filter(({ key }) => key);
  for (const split of [...splits].reverse()) {
    const column = findColumn(split.key, columns);
    if (column && !/^[<>=!]/.test(split.value)) {
      return { text, column, operator: split.operator, value: split.value };
    }
  }
  const [first] = splits;
  return first ? { text, column: undefined, operator: first.operator, value: first.value } : null;
}

/** The brushes that conditions make on axes, by the key of the column. */
export function brushesOf(
  conditions: readonly string[],
  columns: readonly Column[],
  scale: (column: Column) => Scale,
): Map<string, Brush> {
  const brushes = new Map<string, Brush>();
  for (const text of conditions) {
    const condition = parsed(text, columns);
    if (!condition?.column) continue;
    const of = scale(condition.column);
    const before = brushes.get(condition.column.key);
    const brush = of.kind === "category" ? keeping(of, condition, before) : bounded(condition, before);
    if (brush) brushes.set(condition.column.key, brush);
  }
  return brushes;
}

function bounded({ operator, value }: Condition, before: Brush | undefined): Brush | null {
  const number = value === "" ? Number.NaN : Number(value);
  if (!Number.isFinite(number)) return null;
  let { from, to } = before?.kind === "numbers" ? before : { from: null, to: null };
  if (operator.startsWith(">") || operator === "=" || operator === "==")
    from = Math.max(from ?? -Infinity, number);
  if (operator.startsWith("<") || operator === "=" || operator === "==")
    to = Math.min(to ?? Infinity, number);
  return operator === "!=" ? null : { kind: "numbers", from, to };
}

function keeping(scale: Scale, { operator, value }: Condition, before: Brush | undefined): Brush | null {
  const kept = before?.kind === "categories" ? before.kept : scale.categories;
  const matching = (category: string) => category === value || category === quoted(value);
  if (operator === "!=") return { kind: "categories", kept: kept.filter((each) => !matching(each)) };
  return operator.startsWith("=") ? { kind: "categories", kept: kept.filter(matching) } : null;
}

function quoted(text: string): string {
  const inner = text.match(/^(['"])(.*)\1$/s)?.[2];
  return JSON.stringify(inner ?? text);
}

/** Conditions without those that a brush on this column made, and with those of the new one; null removes it. */
export function withBrush(
  conditions: readonly string[],
  column: Column,
  brush: Brush | null,
  columns: readonly Column[],
  scale: Scale,
): string[] {
  const others = conditions.filter((text) => parsed(text, columns)?.column?.key !== column.key);
  return [...others, ...(brush ? conditionsOf(column, brush, scale) : [])];
}

function conditionsOf(column: Column, brush: Brush, scale: Scale): string[] {
  if (brush.kind === "numbers") {
    return [
      ...(brush.from === null ? [] : [`${column.key}>=${brush.from}`]),
      ...(brush.to === null ? [] : [`${column.key}<=${brush.to}`]),
    ];
  }
  const [only] = brush.kept;
  if (brush.kept.length === 1 && only !== undefined) return [`${column.key}=${written(only)}`];
  return scale.categories
    .filter((category) => !brush.kept.includes(category))
    .map((category) => `${column.key}!=${written(category)}`);
}

/** A category as a condition writes it: a text in quotes where it would mean something else. */
function written(category: string): string {
  if (!category.startsWith('"')) return category;
  const text = JSON.parse(category) as string;
  return /^[A-Za-z_][\w ./-]*$/.test(text) &&
    !/^(true|false|null|none|nan|inf(inity)?|yes|no|on|off)$/i.test(text)
    ? text
    : `"${text}"`;
}

/** Whether a brush keeps a value; a row without one is left out. */
export function keeps(brush: Brush, value: unknown): boolean {
  if (brush.kind === "categories") return value !== undefined && brush.kept.includes(identityOf(value));
  const number = numeric(value);
  if (number === undefined || Number.isNaN(number)) return false;
  return (brush.from === null || number >= brush.from) && (brush.to === null || number <= brush.to);
}

/** The brush between two places of an axis, with the shortest bounds that keep the same; null if it keeps all. */
export function brushBetween(scale: Scale, one: number, other: number): Brush | null {
  const [bottom, top] = [Math.min(one, other), Math.max(one, other)];
  if (scale.kind === "category") {
    const kept = scale.categories.filter((_, index) => {
      const share = scale.categories.length > 1 ? index / (scale.categories.length - 1) : 0.5;
      const at = scale.isReversed ? 1 - share : share;
      return at >= bottom && at <= top;
    });
    return kept.length === scale.categories.length || !kept.length ? null : { kind: "categories", kept };
  }
  const [low, high] = [scale.invert(bottom), scale.invert(top)].sort((a, b) => a - b) as [number, number];
  const kept = scale.numbers.filter((number) => number >= low && number <= high);
  if (!kept.length || kept.length === scale.numbers.length) return null;
  const hasBelow = kept[0] !== scale.numbers[0];
  const hasAbove = kept.at(-1) !== scale.numbers.at(-1);
  return {
    kind: "numbers",
    from: hasBelow ? shortest(low, scale.numbers, (number, bound) => number >= bound) : null,
    to: hasAbove ? shortest(high, scale.numbers, (number, bound) => number <= bound) : null,
  };
}

/** A bound with as few digits as keep the same numbers. */
function shortest(
  bound: number,
  numbers: readonly number[],
  keep: (number: number, bound: number) => boolean,
): number {
  for (let digits = 1; digits < 16; digits += 1) {
    const near = Number(bound.toPrecision(digits));
    if (numbers.every((number) => keep(number, near) === keep(number, bound))) return near;
  }
  return bound;
}

/** The places that a brush covers, the lower first. */
export function extent(brush: Brush, scale: Scale): [number, number] {
  const ends =
    brush.kind === "numbers"
      ? [
          brush.from === null ? (scale.isReversed ? 1 : 0) : clamped(scale.place(brush.from)),
          brush.to === null ? (scale.isReversed ? 0 : 1) : clamped(scale.place(brush.to)),
        ]
      : brush.kept.map((category) => placeOfCategory(scale, category));
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 0];
}

function placeOfCategory(scale: Scale, category: string): number {
  const index = scale.categories.indexOf(category);
  const share = scale.categories.length > 1 ? index / (scale.categories.length - 1) : 0.5;
  return scale.isReversed ? 1 - share : share;
}

function clamped(at: number | null): number {
  return Math.min(1, Math.max(0, at ?? 0));
}
