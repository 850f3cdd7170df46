// What a node shows of the state of its tasks.
import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";
import { duration } from "../ui/format";
import type { FlowNode } from "./flow";

type Task = StatusDocument["tasks"][number];
export type TaskStatus = Task["status"];

export interface NodeState {
  /** Null for a spec, which has not run. */
  readonly status: TaskStatus | null;
  readonly counts: Readonly<Partial<Record<TaskStatus, number>>>;
  /** Its time, its count, or a word; empty if there is nothing to say. */
  readonly text: string;
  /** One sentence about it, without its name. */
  readonly about: string;
}

/** The status of a group is the first of these that a member has. */
const PRECEDENCE: readonly TaskStatus[] = [
  "UNKNOWN",
  "RUNNING",
  "SUBMITTED",
  "PENDING",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
  "SUCCEEDED",
];
/** A fold hides names, so it shows a failure first. */
const FOLD_PRECEDENCE: readonly TaskStatus[] = ["FAILED", ...PRECEDENCE];
/** What these lead to began or may begin. */
const BEGAN: ReadonlySet<TaskStatus> = new Set([
  "SUBMITTED",
  "RUNNING",
  "UNKNOWN",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
]);
const OVER: ReadonlySet<TaskStatus> = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"]);

export type StateOf = (node: FlowNode) => NodeState;

/** The state of any node, from the tasks, or from the graph's own statuses where a task is not among them. */
export function statesOf(graph: GraphDocument, tasks: readonly Task[]): StateOf {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const documented = new Map(graph.nodes.map((node) => [node.id, node]));
  const known = new Map<string, NodeState>();
  const of: StateOf = (node) => {
    const before = known.get(node.id);
    if (before) return before;
    const own = node.members.flatMap((id) => byId.get(id) ?? []);
    const made =
      node.kind === "fold"
        ? foldState(node, node.items.map(of))
        : own.length === node.members.length && own.length
          ? taskState(node, own)
          : documentState(node, documented.get(node.id));
    known.set(node.id, made);
    return made;
  };
  return of;
}

function taskState(node: FlowNode, tasks: readonly Task[]): NodeState {
  const [only] = tasks;
  if (node.kind !== "group" && only) return ofTask(only);
  const counts = countsOf(tasks);
  // A member that is not needed after the first success does not make its group SKIPPED.
  const decisive = countsOf(tasks.filter((task) => !(task.status === "SKIPPED" && task.reason === "until")));
  return { ...group(PRECEDENCE, decisive), counts, ...countTexts(counts, tasks.length) };
}

function ofTask(task: Task): NodeState {
  const took = task.duration === null ? "" : duration(task.duration);
  return {
    status: task.status,
    counts: { [task.status]: 1 },
    text: task.status === "SKIPPED" ? "skipped" : took,
    about: [task.status, task.message, took].filter(Boolean).join(" · "),
  };
}

function foldState(node: FlowNode, items: readonly NodeState[]): NodeState {
  const counts: Partial<Record<TaskStatus, number>> = {};
  for (const item of items) {
    for (const [status, count] of Object.entries(item.counts)) {
      counts[status as TaskStatus] = (counts[status as TaskStatus] ?? 0) + count;
    }
  }
  return { ...group(FOLD_PRECEDENCE, counts), counts, ...countTexts(counts, node.members.length, true) };
}

function documentState(node: FlowNode, documented: GraphDocument["nodes"][number] | undefined): NodeState {
  const status = documented?.status ?? null;
  const counts = (documented?.counts ?? {}) as NodeState["counts"];
  const total = node.members.length;
  if (node.kind === "group") return { status, counts, ...countTexts(counts, total) };
  return { status, counts, text: status === "SKIPPED" ? "skipped" : "", about: status ?? "" };
}

function countsOf(tasks: readonly Task[]): Partial<Record<TaskStatus, number>> {
  const counts: Partial<Record<TaskStatus, number>> = {};
  for (const task of tasks) counts[task.status] = (counts[task.status] ?? 0) + 1;
  return counts;
}

function group(order: readonly TaskStatus[], counts: NodeState["counts"]): { status: TaskStatus | null } {
  return { status: order.find((status) => counts[status]) ?? null };
}

function countTexts(
  counts: NodeState["counts"],
  total: number,
  isFold = false,
): { text: string; about: string } {
  const parts = Object.entries(counts).map(([status, count]) => `${count} ${status}`);
  if (!parts.length) return { text: "", about: "" };
  const done = `${counts.SUCCEEDED ?? 0}/${total}`;
  const text = counts.PENDING === total ? "" : isFold && counts.FAILED ? `${counts.FAILED} failed` : done;
  return { text, about: parts.join(", ") };
}

/** How the edges to a node are drawn: it began or may begin, it waits, or it is skipped. */
export function edgeState(target: NodeState, parents: readonly NodeState[]): "began" | "waits" | "skipped" {
  if (target.status === "SKIPPED") return "skipped";
  if (target.status !== null && BEGAN.has(target.status)) return "began";
  const mayBegin = parents.every((parent) => parent.status !== null && OVER.has(parent.status));
  return mayBegin ? "began" : "waits";
}
