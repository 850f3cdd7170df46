// The columns of a comparison: params and metrics, with the text by which a condition names each.
import type { CompareDocument } from "../api/documents/compare";
import type { MetricFunction } from "./values";

export interface Column {
  /** How conditions, `--sort` and `-k` name it. */
  readonly key: string;
  readonly kind: "param" | "metric";
  readonly name: string;
  /** Of a metric; null for a param. */
  readonly fn: MetricFunction | null;
}

const ALL_FUNCTIONS: readonly string[] = ["last", "min", "max", "mean", "count"];
const FIELDS: readonly string[] = ["status", "task", "prefix", "experiment"];

/** The metrics of all rows, in their order. */
export function metricsOf(document: CompareDocument): string[] {
  return [...new Set(document.rows.flatMap((row) => Object.keys(row.metrics)))];
}

/** The params of all rows, in their order. */
export function paramsOf(document: CompareDocument): string[] {
  return [...new Set(document.rows.flatMap((row) => Object.keys(row.params)))];
}

/** The column of a metric by its title, such as `train/loss:min`. */
export function metricColumn(title: string, metrics: readonly string[]): Column {
  const at = title.lastIndexOf(":");
  const end = title.slice(at + 1);
  if (!metrics.includes(title) && at > 0 && ALL_FUNCTIONS.includes(end)) {
    return { key: title, kind: "metric", name: title.slice(0, at), fn: end as MetricFunction };
  }
  return { key: title, kind: "metric", name: title, fn: "last" };
}

/** The column of a param; its key says that it is one where a metric has the same name. */
export function paramColumn(name: string, metrics: readonly string[]): Column {
  const isTaken = metrics.some((metric) => metric === name || metric.endsWith(`/${name}`));
  const isOdd = name.startsWith("params.") || name.startsWith("record.");
  return { key: isTaken || isOdd ? `params.${name}` : name, kind: "param", name, fn: null };
}

/** The same metric by another function; without one it is the last value. */
export function withFunction(column: Column, fn: MetricFunction): Column {
  return { ...column, fn, key: fn === "last" ? column.name : `${column.name}:${fn}` };
}

/** The column that a text of a condition or of a sort means: by its key, or by the end of a metric's name. */
export function findColumn(text: string, columns: readonly Column[]): Column | undefined {
  const exact = columns.find((column) => column.key === text);
  if (exact || FIELDS.includes(text)) return exact;
  const found = columns.filter(
    (column) =>
      (column.kind === "metric" &&
        (column.key.endsWith(`/${text}`) || `${column.name}:${column.fn}` === text)) ||
      (column.kind === "param" && `params.${column.name}` === text),
  );
  return found.length === 1 ? found[0] : undefined;
}
