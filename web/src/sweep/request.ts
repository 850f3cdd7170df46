// What is compared and how: in the address of the view, in the request to the server, and as a command.
import { commandLine } from "../ui/quoting";

/** What is compared. */
export interface Source {
  /** OWNER/HOME/ID of each experiment. */
  readonly experiments: readonly string[];
  /** Prefixes of records, with all below each, or globs. */
  readonly prefixes: readonly string[];
  /** Only this task, group or glob of the experiments. */
  readonly task: string | null;
}

export interface SortKey {
  readonly key: string;
  readonly isDescending: boolean;
}

/** How it is compared. */
export interface Choice {
  readonly where: readonly string[];
  /** The metrics that are shown, each with its function; empty for all by their last values. */
  readonly keys: readonly string[];
  readonly sort: readonly SortKey[];
  readonly groupBy: readonly string[];
  readonly over: readonly string[];
  readonly isAllParams: boolean;
}

const DESCENDING = "-";
const ASCENDING = "+";

/** A sort key as the address has it: `-loss:min` for the largest first. */
export function sortKey(text: string): SortKey {
  const isDescending = text.startsWith(DESCENDING);
  return { key: isDescending || text.startsWith(ASCENDING) ? text.slice(1) : text, isDescending };
}

export function sortText({ key, isDescending }: SortKey): string {
  if (isDescending) return DESCENDING + key;
  return key.startsWith(DESCENDING) || key.startsWith(ASCENDING) ? ASCENDING + key : key;
}

export function choiceOf(query: URLSearchParams): Choice {
  return {
    where: query.getAll("where"),
    keys: query.getAll("key"),
    sort: query.getAll("sort").map(sortKey),
    groupBy: query.getAll("group_by"),
    over: query.getAll("over"),
    isAllParams: query.get("params") === "all",
  };
}

/** The address of the document on the server. */
export function documentPath(source: Source, choice: Choice): string {
  const query = new URLSearchParams();
  const add = (name: string, values: readonly string[]) => {
    for (const value of values) query.append(name, value);
  };
  add("experiment", source.experiments);
  add("prefix", source.prefixes);
  add("task", source.task === null ? [] : [source.task]);
  add("where", choice.where);
  add("key", choice.keys);
  add("group_by", choice.groupBy);
  add("over", choice.groupBy.length ? choice.over : []);
  const [first] = choice.sort;
  if (first) {
    query.append("sort", first.key);
    if (first.isDescending) query.append("descending", "1");
  }
  return `/v1/views/compare?${query}`;
}

/** The command that prints the same. */
export function command(source: Source, choice: Choice): string {
  const ids = source.experiments.map((name) => name.split("/").at(-1) ?? name);
  const prefixes = source.prefixes.map((prefix) => (prefix.includes("/") ? prefix : `${prefix}/`));
  const options = (name: string, values: readonly string[]) => values.flatMap((value) => [name, value]);
  const [first] = choice.sort;
  return commandLine(
    "exp",
    "compare",
    ...ids,
    ...prefixes,
    ...(source.task === null ? [] : ["--task", source.task]),
    ...options("-k", choice.keys),
    ...options("--where", choice.where),
    ...(first ? ["--sort", first.key, ...(first.isDescending ? ["--descending"] : [])] : []),
    ...options("--group-by", choice.groupBy),
    ...options("--over", choice.groupBy.length ? choice.over : []),
    ...(choice.isAllParams && !choice.groupBy.length ? ["--all-params"] : []),
  );
}

/** How an axis is drawn, where that is not the default. */
export interface AxisChoice {
  readonly key: string;
  readonly log?: boolean;
  readonly isReversed?: boolean;
}

/** An axis as the address has it: `log,small:train/loss:min`. */
export function axisChoice(text: string): AxisChoice {
  const at = text.indexOf(":");
  const words = text.slice(0, Math.max(at, 0)).split(",");
  return {
    key: text.slice(at + 1),
    ...(words.includes("log") ? { log: true } : words.includes("linear") ? { log: false } : {}),
    ...(words.includes("small")
      ? { isReversed: true }
      : words.includes("large")
        ? { isReversed: false }
        : {}),
  };
}

export function axisText({ key, log, isReversed }: AxisChoice): string {
  const words = [
    ...(log === undefined ? [] : [log ? "log" : "linear"]),
    ...(isReversed === undefined ? [] : [isReversed ? "small" : "large"]),
  ];
  return `${words.join(",")}:${key}`;
}
