// The tables of dry runs, with members that fare alike in one row.
import type { PlanDocument } from "../api/documents/plan";
import type { ResumeDocument } from "../api/documents/resume";
import { count } from "../ui/format";

type Resumed = ResumeDocument["tasks"][number];
type Planned = PlanDocument["tasks"][number];

export interface ResumeRow extends Resumed {
  /** How many members fare the same. */
  readonly more: number;
}

const ORDER: readonly string[] = ["run", "wait", "adopt", "keep"];

/** What runs comes first; members of a group that fare alike are one row. */
export function resumeRows(tasks: readonly Resumed[]): ResumeRow[] {
  const rows = new Map<string, ResumeRow>();
  for (const task of tasks) {
    const slash = task.id.indexOf("/");
    const group = slash < 0 ? task.id : `${task.id.slice(0, slash)}/`;
    const key = JSON.stringify([group, task.action, task.reason]);
    const row = rows.get(key);
    rows.set(key, row ? { ...row, more: row.more + 1 } : { ...task, more: 0 });
  }
  return [...rows.values()].sort((one, other) => ORDER.indexOf(one.action) - ORDER.indexOf(other.action));
}

/** `Run 12 tasks, keep 36`. */
export function resumeText(tasks: readonly Resumed[]): string {
  const number = (action: string) => tasks.filter((task) => task.action === action).length;
  const runs = number("run") + number("wait");
  const parts = [`run ${count(runs)} ${runs === 1 ? "task" : "tasks"}`];
  if (number("adopt")) parts.push(`go on with ${count(number("adopt"))}`);
  if (number("keep")) parts.push(`keep ${count(number("keep"))}`);
  const text = parts.join(", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface PlanRow {
  readonly id: string;
  readonly members: number;
  readonly executor: string;
  readonly after: string;
}

/** The tasks of a plan in the order of the spec, a group as one row. */
export function planRows(tasks: readonly Planned[]): PlanRow[] {
  const rows = new Map<string, PlanRow>();
  const names = new Map(tasks.map((task) => [task.id, task.group ?? task.id]));
  for (const task of tasks) {
    const id = task.group ?? task.id;
    const row = rows.get(id);
    const after = [...new Set(task.dependencies.map((name) => names.get(name) ?? name))].join(", ");
    rows.set(
      id,
      row ? { ...row, members: row.members + 1 } : { id, members: 1, executor: task.executor, after },
    );
  }
  return [...rows.values()];
}
