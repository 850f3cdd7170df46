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
  if (counts.PENDING) return "PENDING";
  return ["FAILED", "CANCELLED", "SKIPPED"].find((status) => counts[status]) ?? "SUCCEEDED";
}

/** The tasks that were skipped or stopped because of these, in the order of the spec. */
export function stoppedBy(causes: readonly Task[], tasks: readonly Task[]): Task[] {
  const reached = new Set(causes.map((task) => task.id));
  let left = tasks.filter((task) => isStopped(task) && !reached.has(task.id));
  const stopped: Task[] = [];
  for (let isNew = left.length > 0; isNew; ) {
    const found = stopped.length;
    left = left.filter((task) => {
      if (!task.dependencies.some((name) => reached.has(name))) return true;
      reached.add(task.id);
      stopped.push(task);
      return false;
    });
    isNew = stopped.length > found;
  }
  return stopped.sort((one, other) => one.index - other.index);
}

function isStopped(task: Task): boolean {
  return (task.status === "SKIPPED" || task.status === "CANCELLED") && task.reason === "dependency";
}

/** The names of tasks as they are folded, each once: a group stands for its members. */
export function nodesOf(tasks: readonly Task[]): string[] {
  return [...new Set(tasks.map(nodeOf))];
}

const MOST_WEIGHED = 50; // failures of which it is found what each stopped

/**
 * What should be in sight at first: the failure that stopped most, then the first one; else what is UNKNOWN,
 * else the first that runs; null if nothing needs to be seen.
 */
export function worst(tasks: readonly Task[]): Task | null {
  const failed = tasks.filter((task) => task.status === "FAILED");
  const own = failed.filter((task) => !task.handler);
  const ranked = (own.length ? own : failed)
    .map((task) => ({ task, stopped: failed.length > MOST_WEIGHED ? 0 : stoppedBy([task], tasks).length }))
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
