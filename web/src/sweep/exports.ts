// A comparison as CSV, Markdown and TSV, with the same cells as `exp compare --format`.

import { metricColumn } from "./columns";
import { exactJson, NumberText, parseExactly } from "./exactNumbers";
import { labelOf } from "./rows";

interface ExactRow {
  readonly prefix: string;
  readonly experiment: string | null;
  readonly task: string | null;
  readonly status: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly metrics: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

interface ExactGroup {
  readonly task: string | null;
  readonly params: Readonly<Record<string, unknown>>;
  readonly runs: unknown;
  readonly counts: Readonly<Record<string, NumberText>>;
  readonly metrics: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

interface Exact {
  readonly rows: readonly ExactRow[];
  readonly differing: readonly string[];
  readonly columns?: readonly string[];
  readonly groups?: readonly ExactGroup[];
  readonly group_by?: readonly string[];
}

export interface Table {
  readonly titles: readonly string[];
  /** Texts, and numbers as they are written. */
  readonly cells: readonly (readonly (string | NumberText)[])[];
}

const OWN = ["EXPERIMENT", "RECORD", "STATUS", "TASK", "RUNS"];
const PARTS = ["mean", "std", "n"];
const NOT_FINITE: Readonly<Record<string, string>> = { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" };

/** The table of a document's text. */
export function tableOf(text: string, isAllParams: boolean): Table {
  const document = parseExactly(text) as Exact;
  const metrics = [...new Set(document.rows.flatMap((row) => Object.keys(row.metrics)))];
  const columns = document.columns ?? metrics;
  const parts = columns.flatMap((title) => PARTS.map((part) => `${title} ${part}`));
  const taken = new Set([...OWN, ...metrics, ...columns, ...parts]);
  const titled = (name: string) =>
    taken.has(name) || name.startsWith("params.") || name.startsWith("record.") ? `params.${name}` : name;
  if (document.groups) {
    const by = document.group_by ?? [];
    return {
      titles: ["TASK", ...by.map(titled), "RUNS", "STATUS", ...parts],
      cells: document.groups.map((group) => [
        cell(group.task),
        ...by.map((name) => cell(group.params[name])),
        cell(group.runs),
        statuses(group.counts),
        ...columns.flatMap((title) => PARTS.map((part) => statistic(group.metrics[title]?.[part]))),
      ]),
    };
  }
  const params = isAllParams
    ? [...new Set(document.rows.flatMap((row) => Object.keys(row.params)))]
    : document.differing;
  const isSeveral = new Set(document.rows.map((row) => row.experiment)).size > 1;
  const chosen = columns.map((title) => metricColumn(title, metrics));
  return {
    titles: [...(isSeveral ? ["EXPERIMENT"] : []), "RECORD", "STATUS", ...params.map(titled), ...columns],
    cells: document.rows.map((row) => [
      ...(isSeveral ? [row.experiment ?? ""] : []),
      labelOf(row),
      row.status,
      ...params.map((name) => cell(Object.hasOwn(row.params, name) ? row.params[name] : null)),
      ...chosen.map(({ name, fn }) =>
        statistic(Object.hasOwn(row.metrics, name) ? row.metrics[name]?.[fn ?? "last"] : null),
      ),
    ]),
  };
}

function cell(value: unknown): string | NumberText {
  if (value === null || value === undefined) return "";
  if (typeof value === "string" || value instanceof NumberText) return value;
  return exactJson(value);
}

function statistic(value: unknown): string | NumberText {
  const word = typeof value === "string" ? NOT_FINITE[value] : undefined;
  return word === undefined ? cell(value) : new NumberText(word, Number.NaN);
}

function statuses(counts: Readonly<Record<string, NumberText>>): string {
  const entries = Object.entries(counts);
  const [first] = entries;
  if (entries.length === 1 && first) return first[0];
  return entries
    .sort(([, one], [, other]) => other.value - one.value)
    .map(([status, count]) => `${count.text} ${status}`)
    .join(", ");
}

/** CSV in which no text is computed by a spreadsheet. */
export function csv({ titles, cells }: Table): string {
  return [titles, ...cells].map((row) => `${row.map(csvCell).join(",")}\n`).join("");
}

function csvCell(value: string | NumberText): string {
  if (value instanceof NumberText) return value.text;
  const text = /^[=+\-@\t\r]/.test(value) ? `'${visible(value)}` : visible(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Tab-separated cells, as a spreadsheet takes them from the clipboard. */
export function tsv({ titles, cells }: Table): string {
  const plain = (value: string | NumberText) => {
    if (value instanceof NumberText) return value.text;
    const text = visible(value).replace(/[\t\n\r]+/g, " ");
    return /^[=+\-@]/.test(text) ? `'${text}` : text;
  };
  return [titles, ...cells].map((row) => `${row.map(plain).join("\t")}\n`).join("");
}

/** GitHub-flavoured Markdown whose cells show text as it is. */
export function markdown({ titles, cells }: Table): string {
  const plain = (value: string | NumberText) =>
    (value instanceof NumberText ? value.text : visible(value).split(/\s+/).filter(Boolean).join(" "))
      .replace(/[\\`*~|[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, "\\$&")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;");
  const lines = [titles, ...cells].map((row) => row.map(plain));
  lines.splice(
    1,
    0,
    titles.map(() => "---"),
  );
  return lines.map((line) => `| ${line.join(" | ")} |\n`).join("");
}

const UNSEEN =
  /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** A text with an escape for each character that rewrites a terminal or reorders text. */
function visible(text: string): string {
  return text.replace(UNSEEN, (character) => {
    if (character === "\n" || character === "\t" || character === "\r") return character;
    const code = character.codePointAt(0) ?? 0;
    const digits = code > 0xffff ? 8 : code > 0xff ? 4 : 2;
    return `\\${digits === 8 ? "U" : digits === 4 ? "u" : "x"}${code.toString(16).padStart(digits, "0")}`;
  });
}
