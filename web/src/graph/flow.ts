// What the graph draws: tasks, groups and what they depend on, from the documents of an experiment.
import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";

export type DocumentNode = GraphDocument["nodes"][number];
export type EdgeType = GraphDocument["edges"][number]["type"];
type Task = StatusDocument["tasks"][number];

export interface FlowNode {
  readonly id: string;
  readonly kind: "task" | "group" | "external" | "fold";
  /** Its tasks: one, those of a group, or of all that is folded into it. */
  readonly members: readonly string[];
  /** Runs once all tasks are over. */
  readonly isHandler: boolean;
  /** What is folded into it, in the order of the document. */
  readonly items: readonly FlowNode[];
  /** How the items of a fold hang together: one after the other, or beside each other. */
  readonly shape?: "chain" | "siblings";
}

export interface FlowEdge {
  readonly from: string;
  readonly to: string;
  readonly type: EdgeType;
  /** Each member waits for the matching members alone. */
  readonly isSame: boolean;
}

export interface Flow {
  readonly nodes: readonly FlowNode[];
  readonly edges: readonly FlowEdge[];
}

const HANDLER_TYPES: ReadonlySet<EdgeType> = new Set(["on_success", "on_failure", "on_exit"]);

/** The nodes and edges to draw. What only leads to a handler is no edge: a handler waits for all. */
export function flowOf(graph: GraphDocument, tasks: readonly Task[] = []): Flow {
  const handlers = new Set(graph.edges.filter((edge) => HANDLER_TYPES.has(edge.type)).map((edge) => edge.to));
  const known = new Set(graph.nodes.map((node) => node.id));
  const same = matchingPairs(graph, tasks);
  return {
    nodes: graph.nodes.map((node) => ({
      id: node.id,
      kind: node.kind,
      members: node.members,
      isHandler: handlers.has(node.id),
      items: [],
    })),
    edges: graph.edges
      .filter((edge) => known.has(edge.from) && known.has(edge.to))
      .filter((edge) => handlers.has(edge.from) === handlers.has(edge.to))
      .map((edge) => ({ ...edge, isSame: same.has(pair(edge.from, edge.to)) })),
  };
}

/** Changes only if the spec does: statuses and times are not in it. */
export function signature(graph: GraphDocument): string {
  const nodes = graph.nodes.map((node) => [node.id, node.kind, node.members.length]);
  return JSON.stringify([nodes, graph.edges.map((edge) => [edge.from, edge.to, edge.type])]);
}

/** The pairs of groups of which each member of the second waits for a part of the first. */
function matchingPairs(graph: GraphDocument, tasks: readonly Task[]): Set<string> {
  const groups = new Map(graph.nodes.filter((node) => node.kind === "group").map((node) => [node.id, node]));
  const groupOf = new Map<string, string>();
  for (const group of groups.values()) for (const member of group.members) groupOf.set(member, group.id);
  const awaited = new Map<string, number>();
  for (const task of tasks) {
    const target = groupOf.get(task.id);
    if (target === undefined) continue;
    for (const parent of task.dependencies) {
      const source = groupOf.get(parent);
      if (source === undefined || source === target) continue;
      const key = pair(source, target);
      awaited.set(key, (awaited.get(key) ?? 0) + 1);
    }
  }
  const matching = new Set<string>();
  for (const edge of graph.edges) {
    const [source, target] = [groups.get(edge.from), groups.get(edge.to)];
    const count = awaited.get(pair(edge.from, edge.to));
    if (source && target && count && count < source.members.length * target.members.length) {
      matching.add(pair(edge.from, edge.to));
    }
  }
  return matching;
}

function pair(from: string, to: string): string {
  return `${from}\n${to}`;
}

/** Whether the type of a dependency is written at its edge. */
export function isWritten(edge: FlowEdge): boolean {
  return edge.isSame || edge.type === "afterany" || edge.type === "afternotok";
}

export function hasWrittenEdge(flow: Flow): boolean {
  return flow.edges.some(isWritten);
}

/** All that a node depends on and all that depends on it, itself included. */
export function lineage(edges: readonly FlowEdge[], id: string): Set<string> {
  const found = new Set([id]);
  for (const [near, far] of [
    ["to", "from"],
    ["from", "to"],
  ] as const) {
    const next = new Map<string, string[]>();
    for (const edge of edges) next.set(edge[near], [...(next.get(edge[near]) ?? []), edge[far]]);
    const open = [id];
    const seen = new Set(open);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const other of next.get(at) ?? []) {
        if (seen.has(other)) continue;
        seen.add(other);
        found.add(other);
        open.push(other);
      }
    }
  }
  return found;
}
