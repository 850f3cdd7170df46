// Which row of a sorted comparison is the best.
import type { Column } from "./columns";
import type { SortKey } from "./request";
import type { Row } from "./rows";
import { identityOf, numeric, textOf } from "./values";

/** The first row by a metric, and those that are as good; none if the sort is by no metric. */
export function bestOf(
  rows: readonly Row[],
  columns: readonly Column[],
  sort: readonly SortKey[],
): { id: string; tied: ReadonlySet<string> } | null {
  const by = sort
    .map((key) => columns.find((column) => column.key === key.key))
    .filter((column): column is Column => column !== undefined);
  const [first] = by;
  if (first?.kind !== "metric") return null;
  const canWin = (row: Row) =>
    (row.status === null || row.status === "COMPLETED") && Number.isFinite(numeric(row.value(first)));
  const candidates = rows.filter(canWin);
  const [best] = candidates;
  if (!best) return null;
  const isAsGood = (row: Row) =>
    by.every((column) => identityOf(row.value(column)) === identityOf(best.value(column)));
  return {
    id: best.id,
    tied: new Set(
      candidates
        .slice(1)
        .filter(isAsGood)
        .map((row) => row.id),
    ),
  };
}

/** Rows in their order, but those with the same value of the first sort key in the order of the further ones. */
export function withTies(
  rows: readonly Row[],
  columns: readonly Column[],
  sort: readonly SortKey[],
): readonly Row[] {
  const first = columns.find((column) => column.key === sort[0]?.key);
  const further = sort.slice(1).flatMap(({ key, isDescending }) => {
    const column = columns.find((each) => each.key === key);
    return column ? [{ column, isDescending }] : [];
  });
  if (!first || !further.length) return rows;
  const ordered: Row[] = [];
  let tied: Row[] = [];
  const settle = () => {
    ordered.push(...tied.sort((one, other) => compareBy(one, other, further)));
    tied = [];
  };
  for (const row of rows) {
    if (tied[0] && identityOf(tied[0].value(first)) !== identityOf(row.value(first))) settle();
    tied.push(row);
  }
  settle();
  return ordered;
}

/** Numbers, then texts; rows without a value last. */
function compareBy(
  one: Row,
  other: Row,
  keys: readonly { readonly column: Column; readonly isDescending: boolean }[],
): number {
  for (const { column, isDescending } of keys) {
    const [a, b] = [one.value(column), other.value(column)];
    const [hasA, hasB] = [a !== undefined && !Number.isNaN(a), b !== undefined && !Number.isNaN(b)];
    if (hasA !== hasB) return hasA ? -1 : 1;
    const [left, right] = [numeric(a), numeric(b)];
    const order =
      left !== undefined && right !== undefined
        ? left - right
        : Number(left === undefined) - Number(right === undefined) ||
          (textOf(a) < textOf(b) ? -1 : textOf(a) > textOf(b) ? 1 : 0);
    if (hasA && order) return isDescending ? -order : order;
  }
  return 0;
}
