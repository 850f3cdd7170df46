// The rows of the table: groups as one row that unfolds, their members in an order that shows first what matters.
import { LIVE, nodeOf, type Sweep, statusOf, type Task } from "./tasks";

export type Row =
  | { readonly kind: "task"; readonly key: string; readonly task: Task; readonly level: 1 | 2 }
  | {
      readonly kind: "group";
      readonly key: string;
      readonly members: readonly Task[];
      readonly status: string;
      readonly sweep: Sweep | null;
      readonly isOpen: boolean;
    }
  | {
      readonly kind: "more";
      readonly key: string;
      readonly group: string;
      readonly members: readonly Task[];
    };

/** Whether a group is unfolded: `all` for each of its members. */
export type Folding = (group: string, members: readonly Task[]) => "closed" | "open" | "all";

const LEAST_FOLDED = 3; // members that are not worth a row of their own

/**
 * The rows, in the order of the spec.
 *
 * @param most how many members of an unfolded group are shown, unless all are asked for
 * @param picked the task that is shown in any case if its group is unfolded
 */
export function rowsOf(
  tasks: readonly Task[],
  sweeps: readonly Sweep[],
  folding: Folding,
  most: number,
  picked: string | null = null,
): Row[] {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) {
    const node = nodeOf(task);
    const members = groups.get(node);
    if (members) members.push(task);
    else groups.set(node, [task]);
  }
  const rows: Row[] = [];
  for (const [node, members] of groups) {
    const only = members[0] as Task;
    if (nodeOf(only) === only.id) {
      rows.push({ kind: "task", key: only.id, task: only, level: 1 });
      continue;
    }
    const state = folding(node, members);
    rows.push({
      kind: "group",
      key: node,
      members,
      status: statusOf(members),
      sweep: sweeps.find((sweep) => sweep.id === node) ?? null,
      isOpen: state !== "closed",
    });
    if (state === "closed") continue;
    const ordered = state === "all" ? members : byWeight(members);
    const isCut = state === "open" && members.length > most + LEAST_FOLDED;
    const shown = isCut ? ordered.filter((task, place) => place < most || task.id === picked) : ordered;
    for (const task of shown) rows.push({ kind: "task", key: task.id, task, level: 2 });
    if (!isCut) continue;
    const left = ordered.filter((task) => !shown.includes(task));
    rows.push({ kind: "more", key: `${node}/…`, group: node, members: left });
  }
  return rows;
}

const WEIGHT = ["FAILED", "UNKNOWN", "RUNNING", "SUBMITTED", "CANCELLED", "SUCCEEDED", "PENDING", "SKIPPED"];

/** What failed first, then what is UNKNOWN, what runs, and the others. */
export function byWeight(members: readonly Task[]): Task[] {
  return [...members].sort(
    (one, other) => WEIGHT.indexOf(one.status) - WEIGHT.indexOf(other.status) || one.index - other.index,
  );
}

/** Whether a group is unfolded before anybody has touched it: with a failure, or if it is no sweep and small. */
export function isOpenAtFirst(members: readonly Task[], isSweep: boolean): boolean {
  const hasTrouble = members.some((task) => task.status === "FAILED" || task.status === "UNKNOWN");
  return hasTrouble || (!isSweep && members.length <= SMALL);
}

const SMALL = 6;

/** What a group's row says: `9/48 done`, and how many were pruned, failed, were cancelled or skipped, or are UNKNOWN. */
export function groupCounts(members: readonly Task[]): { done: string; others: [string, number][] } {
  const counts = new Map<string, number>();
  for (const task of members) {
    const word = task.status === "SUCCEEDED" && task.reason === "pruned" ? "pruned" : task.status;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const listed = ["pruned", "FAILED", "CANCELLED", "SKIPPED", "UNKNOWN"];
  return {
    done: `${counts.get("SUCCEEDED") ?? 0}/${members.length} done`,
    others: listed.flatMap((status) => {
      const count = counts.get(status);
      return count ? [[status, count] as [string, number]] : [];
    }),
  };
}

/** Whether any of these may still change. */
export function isAnyLive(tasks: readonly Task[]): boolean {
  return tasks.some((task) => LIVE.has(task.status));
}
