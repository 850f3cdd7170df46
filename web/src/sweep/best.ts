// Which row of a sorted comparison is the best.
import type { Column } from "./columns";
import type { SortKey } from "./request";
import type { Row } from "./rows";
import { numeric } from "./values";

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
  const isAsGood = (row: Row) => by.every((column) => row.value(column) === best.value(column));
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
