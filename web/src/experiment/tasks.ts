// Tasks of `exp.status/1` as the page groups them.
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";

export type Task = StatusDocument["tasks"][number];
export type Sweep = NonNullable<StatusDocument["sweeps"]>[number];
export type TaskTimes = TimelineDocument["tasks"][number];

export const LIVE: ReadonlySet<string> = new Set(["SUBMITTED", "RUNNING", "UNKNOWN"]);
const ENDS: ReadonlySet<string> = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"]);

export function isOver(task: Task): boolean {
  return ENDS.has(task.status);
}

/** What the page shows a task as when it is folded: its group, or itself. Handlers are not grouped. */
export function nodeOf(task: Task): string {
  return task.group !== null && !task.handler ? task.group : task.id;
}

/** A member without the name of its group: what differs. */
export function memberLabel(task: Task): string {
  return task.group !== null && task.id.startsWith(`${task.group}/`)
    ? task.id.slice(task.group.length + 1)
    : task.id;
}

export function countsOf(tasks: readonly Task[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const task of tasks) counts[task.status] = (counts[task.status] ?? 0) + 1;
  return counts;
}

/** The one status of a group, as `exp graph` derives it. */
export function statusOf(members: readonly Task[]): string {
  const counts = countsOf(members);
  const first = ["RUNNING", "UNKNOWN", "SUBMITTED"].find((status) => counts[status]);
  if (first) return first;
  if (counts.PENDING) return Object.keys(counts).length > 1 && !counts.SKIPPED ? "RUNNING" : "PENDING";
  return ["FAILED", "CANCELLED", "SKIPPED"].find((status) => counts[status]) ?? "SUCCEEDED";
}

/** The tasks that were skipped or stopped because of these, in the order of the spec. */
export function stoppedBy(causes: readonly Task[], tasks: readonly Task[]): Task[] {
  const reached = new Set(causes.map((task) => task.id));
  const stopped: Task[] = [];
  for (const task of inOrder(tasks)) {
    const isStopped =
      (task.status === "SKIPPED" || task.status === "CANCELLED") && task.reason === "dependency";
    if (isStopped && !reached.has(task.id) && task.dependencies.some((name) => reached.has(name))) {
      reached.add(task.id);
      stopped.push(task);
    }
  }
  return stopped.sort((one, other) => one.index - other.index);
}

/** The tasks, each after those that it depends on. */
function inOrder(tasks: readonly Task[]): Task[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const done = new Set<string>();
  const ordered: Task[] = [];
  for (const root of tasks) {
    const stack = [root];
    while (stack.length) {
      const task = stack[stack.length - 1] as Task;
      const next = done.has(task.id)
        ? undefined
        : task.dependencies.find((name) => byId.has(name) && !done.has(name));
      if (next !== undefined) {
        stack.push(byId.get(next) as Task);
        continue;
      }
      stack.pop();
      if (!done.has(task.id)) ordered.push(task);
      done.add(task.id);
    }
  }
  return ordered;
}

/** The names of tasks as they are folded, each once: a group stands for its members. */
export function nodesOf(tasks: readonly Task[]): string[] {
  return [...new Set(tasks.map(nodeOf))];
}

/**
 * What should be in sight at first: the failure that stopped most, then the first one; else what is UNKNOWN,
 * else the first that runs; null if nothing needs to be seen.
 */
export function worst(tasks: readonly Task[]): Task | null {
  const failed = tasks.filter((task) => task.status === "FAILED");
  const own = failed.filter((task) => !task.handler);
  const ranked = (own.length ? own : failed)
    .map((task) => ({ task, stopped: failed.length > 200 ? 0 : stoppedBy([task], tasks).length }))
    .sort((one, other) => other.stopped - one.stopped || compareTimes(one.task.ended, other.task.ended));
  return (
    ranked[0]?.task ??
    tasks.find((task) => task.status === "UNKNOWN") ??
    tasks.find((task) => task.status === "RUNNING") ??
    null
  );
}

export function compareTimes(one: string | null, other: string | null): number {
  if (one === other) return 0;
  if (one === null) return 1;
  if (other === null) return -1;
  return one < other ? -1 : 1;
}
