// The command and the environment of a task, from the resolved spec in `exp.show/1`.
import type { ShowDocument } from "../api/documents/show";

export interface TaskSpec {
  /** The heading of the command: `Inline script`, `Command`, `Script`. */
  readonly kind: string;
  readonly command: string;
  readonly environment: readonly (readonly [string, string])[];
  /** What else the spec says of it. */
  readonly rest: readonly (readonly [string, string])[];
}

type Fields = Readonly<Record<string, unknown>>;

const KINDS: Readonly<Record<string, string>> = {
  inline: "Inline text",
  command: "Command",
  script: "Script",
  partial: "Function",
};
const TOLD = new Set([
  "id",
  "index",
  "kind",
  "body",
  "env",
  "dependencies",
  "matrix",
  "executor",
  "handler",
  "group",
]);

/** The spec of a task, the part that it shares with the other members of its sweep included; null if unknown. */
export function specOf(show: ShowDocument, id: string): TaskSpec | null {
  const spec = show.spec as Fields;
  const tasks = Array.isArray(spec.tasks) ? (spec.tasks as Fields[]) : [];
  const own = tasks.find((task) => task.id === id);
  if (!own) return null;
  const group = show.tasks.find((task) => task.id === id)?.group ?? "";
  const shared = asFields(asFields(spec.shared)[group]);
  const task: Fields = { ...shared, ...own };
  const environment = { ...asFields(spec.env), ...asFields(task.env) };
  return {
    kind: KINDS[String(task.kind)] ?? "Command",
    command: commandText(task),
    environment: Object.entries(environment).map(([name, value]) => [name, written(value)] as const),
    rest: Object.entries(task)
      .filter(([name, value]) => !TOLD.has(name) && !isEmpty(value))
      .map(([name, value]) => [name.replaceAll("_", " "), written(value)] as const),
  };
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function commandText(task: Fields): string {
  const body = task.body;
  if (Array.isArray(body)) return body.map(String).join(" ");
  return body === undefined || body === null ? "" : written(body).trimEnd();
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
