// What values that are no numbers are, and how they are drawn over steps.
import type { Json } from "../ui/exactJson";

export interface LoggedValue {
  /** Its step, else its epoch, else the number of its row. */
  readonly at: number;
  readonly value: Json;
}

/** Bins over steps: the counts or values of each row, and where the bins begin and end if that is known. */
export interface HeatValues {
  readonly kind: "heat";
  readonly rows: readonly { readonly at: number; readonly values: readonly number[] }[];
  readonly bins: number;
  /** The edges of the bins of the latest row; null if the values are plain lists. */
  readonly edges: readonly number[] | null;
  /** Whether rows have other edges than the latest. */
  readonly isMoving: boolean;
}

export interface TableValues {
  readonly kind: "table";
  readonly tables: readonly {
    readonly at: number;
    readonly head: readonly string[];
    readonly rows: readonly Json[][];
  }[];
}

export interface MatrixValues {
  readonly kind: "matrix";
  readonly matrices: readonly { readonly at: number; readonly rows: readonly (readonly number[])[] }[];
}

export interface PlainValues {
  readonly kind: "plain";
  readonly values: readonly LoggedValue[];
}

export type Drawn = HeatValues | TableValues | MatrixValues | PlainValues;

/** How values are drawn: all in the same way, or as they are. */
export function drawnAs(values: readonly LoggedValue[]): Drawn {
  return heat(values) ?? matrices(values) ?? tables(values) ?? { kind: "plain", values };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function numbers(value: Json | undefined): number[] | null {
  if (!Array.isArray(value) || !value.length) return null;
  const found = value.map((each) => (typeof each === "string" ? named(each) : each));
  return found.every(isNumber) ? found : null;
}

function named(text: string): number | string {
  return text === "NaN" || text === "Infinity" || text === "-Infinity" ? Number(text) : text;
}

const COUNTS = ["counts", "values", "hist", "histogram", "count"];
const EDGES = ["edges", "bin_edges", "bins"];

function heat(values: readonly LoggedValue[]): HeatValues | null {
  const rows: { at: number; values: number[] }[] = [];
  let edges: number[] | null = null;
  let isMoving = false;
  for (const { at, value } of values) {
    let own = numbers(value);
    if (!own && isMapping(value)) {
      own = numbers(firstOf(value, COUNTS));
      const before = edges;
      edges = numbers(firstOf(value, EDGES));
      isMoving ||= before !== null && String(before) !== String(edges);
      if (own && edges?.length !== own.length + 1) return null;
    }
    if (!own || (own.length < 2 && !edges)) return null;
    rows.push({ at, values: own });
  }
  const bins = Math.max(...rows.map((row) => row.values.length));
  return rows.length ? { kind: "heat", rows, bins, edges, isMoving } : null;
}

function isMapping(value: Json): value is { readonly [name: string]: Json } {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function firstOf(value: { readonly [name: string]: Json }, names: readonly string[]): Json | undefined {
  const name = names.find((each) => Object.hasOwn(value, each));
  return name === undefined ? undefined : value[name];
}

function matrices(values: readonly LoggedValue[]): MatrixValues | null {
  const found = [];
  for (const { at, value } of values) {
    if (!Array.isArray(value) || !value.length) return null;
    const rows = value.map((row) => numbers(row as Json));
    const width = rows[0]?.length;
    if (!rows.every((row): row is number[] => row !== null && row.length === width)) return null;
    found.push({ at, rows });
  }
  return found.length ? { kind: "matrix", matrices: found } : null;
}

function tables(values: readonly LoggedValue[]): TableValues | null {
  const found: { at: number; head: readonly string[]; rows: readonly Json[][] }[] = [];
  for (const { at, value } of values) {
    const one = table(value);
    if (!one) return null;
    found.push({ at, ...one });
  }
  return found.length ? { kind: "table", tables: found } : null;
}

function table(value: Json): { head: string[]; rows: Json[][] } | null {
  if (Array.isArray(value) && value.length && value.every((row) => isMapping(row as Json))) {
    const head = [...new Set(value.flatMap((row) => Object.keys(row as object)))];
    const rows = value.map((row) => head.map((name) => (row as Record<string, Json>)[name] ?? null));
    return { head, rows };
  }
  if (!isMapping(value)) return null;
  const columns = Object.entries(value);
  const length = Array.isArray(columns[0]?.[1]) ? columns[0][1].length : 0;
  if (!length || !columns.every(([, column]) => Array.isArray(column) && column.length === length))
    return null;
  const rows = Array.from({ length }, (_, index) =>
    columns.map(([, column]) => (column as readonly Json[])[index] ?? null),
  );
  return { head: columns.map(([name]) => name), rows };
}
