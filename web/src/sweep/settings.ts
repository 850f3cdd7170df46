// What the axes, the scatter and the table show by default, and what was chosen instead.

import type { Column } from "./columns";
import type { Axis } from "./ParallelAxes";
import type { AxisChoice, SortKey } from "./request";
import type { Row } from "./rows";
import { scaleOf } from "./scales";
import { areNumbers, identityOf } from "./values";

/** More axes than these are not drawn. */
export const MOST_AXES = 10;
const TICK_GAP = 0.085; // of the height of an axis

/** The axes in the chosen order, each with its scale; columns that were not moved follow. */
export function axesOf(
  columns: readonly Column[],
  rows: readonly Row[],
  chosen: readonly AxisChoice[],
  sort: readonly SortKey[],
): Axis[] {
  const named = chosen
    .map((choice) => columns.find((column) => column.key === choice.key))
    .filter((column): column is Column => column !== undefined);
  const inOrder = [...named, ...columns.filter((column) => !named.includes(column))];
  return inOrder.map((column) => {
    const choice = chosen.find((each) => each.key === column.key);
    const by = sort.find((each) => each.key === column.key);
    return {
      column,
      scale: scaleOf(
        rows.map((row) => row.value(column)),
        {
          log: choice?.log,
          isReversed: choice?.isReversed ?? (column.kind === "metric" && isSmallFirst(column, by)),
          isParam: column.kind === "param",
          gap: TICK_GAP,
        },
      ),
    };
  });
}

/** Whether small values are on top, and have the strong colours: of a minimum, and in a sort with the smallest first. */
export function isSmallFirst(column: Column, by: SortKey | undefined): boolean {
  return by ? !by.isDescending : column.fn === "min";
}

/** Which way a column is sorted first: the largest maximum, the smallest of all else. */
export function firstSort(column: Column): SortKey {
  return { key: column.key, isDescending: column.fn === "max" };
}

/** The sort after a press on a head: the other way, then none; a further key goes behind the others. */
export function nextSort(sort: readonly SortKey[], column: Column, isFurther: boolean): SortKey[] {
  const at = sort.findIndex((each) => each.key === column.key);
  const first = firstSort(column);
  const before = sort[at];
  const next = !before ? first : before.isDescending === first.isDescending ? flipped(before) : null;
  if (!isFurther) return next ? [next, ...(at === 0 ? sort.slice(1) : [])] : [];
  if (at < 0) return [...sort, first];
  return sort.flatMap((each, index) => (index === at ? (next ? [next] : []) : [each]));
}

function flipped({ key, isDescending }: SortKey): SortKey {
  return { key, isDescending: !isDescending };
}

/** The column whose values are colours: that of the sort, or the last metric. */
export function colouredBy(columns: readonly Column[], sort: readonly SortKey[]): Column | null {
  const sorted = columns.find((column) => column.key === sort[0]?.key);
  return sorted ?? columns.filter((column) => column.kind === "metric").at(-1) ?? null;
}

/** The axes of the scatter: a param with several numbers, and the metric of the sort. */
export function scatterAxes(
  columns: readonly Column[],
  rows: readonly Row[],
  chosen: { x: string | null; y: string | null; shape: string | null },
  coloured: Column | null,
): { x: Column; y: Column; shape: Column | null } | null {
  const params = columns.filter((column) => column.kind === "param");
  const metrics = columns.filter((column) => column.kind === "metric");
  const find = (key: string | null) => columns.find((column) => column.key === key);
  const distinct = (column: Column) => new Set(rows.map((row) => identityOf(row.value(column)))).size;
  const isNumber = (column: Column) => areNumbers(rows.map((row) => row.value(column)));
  const widest = [...params].filter(isNumber).sort((one, other) => distinct(other) - distinct(one))[0];
  const y = find(chosen.y) ?? (coloured?.kind === "metric" ? coloured : metrics.at(-1)) ?? columns.at(-1);
  const x = find(chosen.x) ?? widest ?? params[0] ?? columns.find((column) => column !== y) ?? y;
  if (!x || !y) return null;
  if (chosen.shape === "") return { x, y, shape: null };
  const few = params.filter((column) => column !== x && distinct(column) > 1 && distinct(column) <= 4);
  return { x, y, shape: find(chosen.shape) ?? few[0] ?? null };
}
