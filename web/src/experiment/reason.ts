// Why a task has its status, in a few words for its row; the sentences are those of `exp why`, in the panel.
import { isOver, nodeOf, type Task } from "./tasks";

const SAID: ReadonlySet<string> = new Set(["exit", "dependency", "cancelled"]);

/**
 * The words after a status: `calibrate is FAILED`, `waits for 36 of train`; empty if there is nothing to say.
 *
 * @param byId all tasks
 * @param error the line of its log that shows the error, if it is known
 * @param isDriven whether a supervisor lives that could start it
 */
export function reasonOf(
  task: Task,
  byId: ReadonlyMap<string, Task>,
  error: string | null,
  isDriven: boolean,
): string {
  switch (task.status) {
    case "PENDING":
      return pending(task, byId, isDriven);
    case "FAILED":
      return error && (task.reason === "exit" || task.reason === "signal" || !task.reason)
        ? error
        : withMessage(task);
    case "SUCCEEDED":
      if (task.reason === "pruned") return withMessage(task);
      return task.reason ? (task.message ?? "") : "";
    default:
      return withMessage(task);
  }
}

function withMessage(task: Task): string {
  const word = task.reason && !SAID.has(task.reason) ? task.reason.replace("_", " ") : "";
  return [word, task.message ?? ""].filter(Boolean).join(": ");
}

function pending(task: Task, byId: ReadonlyMap<string, Task>, isDriven: boolean): string {
  const waits = waitsFor(task, byId);
  if (task.handler && waits === "") return "when all is over";
  if (!isDriven) return "nothing starts it";
  if (waits) return `waits for ${waits}`;
  if (task.message) return task.message;
  return task.attempt > 1 ? `waits for attempt ${task.attempt}` : "waits for its turn";
}

const MOST_NAMED = 3;

/** What is not over of what a task depends on, members folded: `36 of train`, `evaluate and report`. */
export function waitsFor(task: Task, byId: ReadonlyMap<string, Task>): string {
  const left = new Map<string, number>();
  const all = new Map<string, number>();
  for (const name of task.dependencies) {
    const other = byId.get(name);
    if (!other) continue;
    const node = nodeOf(other);
    all.set(node, (all.get(node) ?? 0) + 1);
    if (!isOver(other)) left.set(node, (left.get(node) ?? 0) + 1);
  }
  const named = [...left].map(([node, count]) => {
    const isGroup = !byId.has(node);
    return isGroup && (all.get(node) ?? 0) > 1 && count !== all.get(node) ? `${count} of ${node}` : node;
  });
  return listed(named, MOST_NAMED);
}

/** `a`, `a and b`, `a, b and c`, `a, b and 4 more`. */
export function listed(names: readonly string[], most: number): string {
  if (names.length <= 1) return names.join("");
  const shown = names.length > most ? names.slice(0, most - 1) : names.slice(0, -1);
  const last = names.length > most ? `${names.length - shown.length} more` : names[names.length - 1];
  return `${shown.join(", ")} and ${last}`;
}
