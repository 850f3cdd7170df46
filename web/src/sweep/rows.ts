// The rows of a comparison: records, or groups of records with the mean of each metric.
import type { RecordAddress } from "../api/addresses";
import type { CompareDocument, ComparedGroup } from "../api/documents/compare";
import { foldersOf } from "../compare/labels";
import { ExactNumber } from "../ui/exactJson";
import type { Column } from "./columns";
import { identityOf, numeric } from "./values";

export interface Spread {
  readonly mean: number | undefined;
  readonly std: number | undefined;
  readonly n: number;
  readonly notFinite: number;
  readonly missing: number;
}

export interface Row {
  readonly id: string;
  readonly label: string;
  /** Its whole name, for a title. */
  readonly title: string;
  readonly experiment: string | null;
  /** Of a record: the task that wrote it. */
  readonly task: string | null;
  /** Of a record; of a group the number of members in each status. */
  readonly status: string | null;
  readonly counts: Readonly<Record<string, number>>;
  /** The records that it stands for. */
  readonly prefixes: readonly string[];
  /** Of a record. */
  readonly address: RecordAddress | null;
  readonly params: Readonly<Record<string, unknown>>;
  /** A value: undefined if there is none; of a group the mean. */
  value(column: Column): unknown;
  /** Of a metric of a group. */
  spread(column: Column): Spread | null;
  /** How many values of a metric were NaN and are not counted. */
  notNumbers(column: Column): number;
}

type Compared = CompareDocument["rows"][number];

/** The rows of a document, in its order. `within` is the sweep or group whose name the labels leave out. */
export function rowsOf(document: CompareDocument, within = ""): Row[] {
  const folders = foldersOf(document.rows.map((row) => ({ prefix: row.prefix, folder: row.dash_root })));
  return document.groups
    ? document.groups.map((group) => groupRow(group, within))
    : document.rows.map((row, index) => recordRow(row, within, folders[index] ?? null));
}

/** `folder`: the name of its folder of records, if another one has the same prefix. */
function recordRow(row: Compared, within: string, folder: string | null): Row {
  const params = row.params as Record<string, unknown>;
  const whole = labelOf(row);
  return {
    id: `${row.dash_root}\n${row.prefix}\n${row.experiment ?? ""}\n${row.task ?? ""}`,
    label: `${shortened(whole, within)}${folder === null ? "" : ` in ${folder}`}`,
    title: folder === null ? row.prefix : `${row.prefix}\nin ${row.dash_root}`,
    experiment: row.experiment,
    task: row.task,
    status: row.status,
    counts: { [row.status]: 1 },
    prefixes: [row.prefix],
    address: folder !== null && row.root ? { prefix: row.prefix, root: row.root } : { prefix: row.prefix },
    params,
    value: (column) => {
      if (column.kind === "param")
        return Object.hasOwn(params, column.name) ? params[column.name] : undefined;
      const statistics = Object.hasOwn(row.metrics, column.name) ? row.metrics[column.name] : undefined;
      const value: unknown = statistics && column.fn ? statistics[column.fn] : undefined;
      return value instanceof ExactNumber ? value : numeric(value);
    },
    spread: () => null,
    notNumbers: (column) =>
      Object.hasOwn(row.metrics, column.name) ? (row.metrics[column.name]?.nan ?? 0) : 0,
  };
}

function groupRow(group: ComparedGroup, within: string): Row {
  const params = group.params as Record<string, unknown>;
  const values = Object.entries(params).map(([name, value]) => `${name}=${identityOf(value)}`);
  const task = group.task && group.task !== within ? [group.task] : [];
  const spread = (column: Column): Spread | null => {
    const found = Object.hasOwn(group.metrics, column.key) ? group.metrics[column.key] : undefined;
    if (!found) return null;
    return {
      mean: numeric(found.mean),
      std: numeric(found.std),
      n: found.n,
      notFinite: found.not_finite,
      missing: found.missing,
    };
  };
  return {
    id: `${group.task ?? ""}\n${values.join("\n")}`,
    label: [...task, values.join(",")].join(" "),
    title: group.members.map((member) => member.task ?? member.prefix).join("\n"),
    experiment: null,
    task: null,
    status: null,
    counts: group.counts,
    address: null,
    prefixes: group.members.map((member) => member.prefix),
    params,
    value: (column) =>
      column.kind === "metric"
        ? spread(column)?.mean
        : Object.hasOwn(params, column.name)
          ? params[column.name]
          : undefined,
    spread,
    notNumbers: (column) => spread(column)?.notFinite ?? 0,
  };
}

/** The name of a row as the command shows it: its task or experiment, or the prefix of an additional record. */
export function labelOf(row: { prefix: string; experiment: string | null; task: string | null }): string {
  const own = row.task ?? row.experiment;
  return own && (row.prefix === own || row.prefix.endsWith(`/${own}`)) ? own : row.prefix;
}

/** A task without the name of its sweep or group. */
function shortened(task: string, within: string): string {
  return within && task.startsWith(`${within}/`) ? task.slice(within.length + 1) : task;
}
