// The lines left of the rows of a list, as `exp graph` draws them: each node has one line, to all its dependents.
import type { Flow } from "./flow";

export interface LaneRow {
  readonly id: string;
  /** The column of its mark. */
  readonly column: number;
}

export interface LaneEdge {
  readonly from: string;
  readonly to: string;
  /** The row and column where it begins, and where it ends: down the first column, then above the row across. */
  readonly start: { readonly row: number; readonly column: number };
  readonly end: { readonly row: number; readonly column: number };
}

export interface Lanes {
  readonly rows: readonly LaneRow[];
  readonly edges: readonly LaneEdge[];
  readonly columns: number;
}

/** Rows and lines of the nodes in their order, which is one in which each comes after its dependencies. */
export function lanesOf(flow: Flow): Lanes {
  const nodes = inOrder(flow);
  const parents = new Map<string, string[]>(nodes.map((id) => [id, []]));
  const children = new Map<string, Set<string>>(nodes.map((id) => [id, new Set()]));
  for (const { from, to } of flow.edges) {
    parents.get(to)?.push(from);
    children.get(from)?.add(to);
  }
  const lines: (string | null)[] = [];
  const places = new Map<string, { row: number; column: number }>();
  const edges: LaneEdge[] = [];
  let columns = 0;
  for (const [row, id] of nodes.entries()) {
    const own = parents.get(id) ?? [];
    const joined = lines.flatMap((name, column) => (name !== null && own.includes(name) ? [column] : []));
    const ending = joined.filter((column) => {
      const left = children.get(lines[column] ?? "");
      return left?.size === 1 && left.has(id);
    });
    const column = ending[0] ?? free(lines, Math.max(-1, ...joined));
    for (const parent of own) {
      children.get(parent)?.delete(id);
      const start = places.get(parent);
      if (start) edges.push({ from: parent, to: id, start, end: { row, column } });
    }
    for (const end of ending) lines[end] = null;
    while (lines.length <= column) lines.push(null);
    lines[column] = id;
    places.set(id, { row, column });
    columns = Math.max(columns, lines.length);
    if (!children.get(id)?.size) lines[column] = null;
    while (lines.length && lines.at(-1) === null) lines.pop();
  }
  return { rows: nodes.map((id) => ({ id, column: places.get(id)?.column ?? 0 })), edges, columns };
}

function free(lines: readonly (string | null)[], after: number): number {
  const found = lines.findIndex((name, column) => name === null && column > after);
  return found < 0 ? lines.length : found;
}

/** The ids in their order, but each after its dependencies: a fold stands where the first of its nodes stood. */
function inOrder(flow: Flow): string[] {
  const waiting = new Map(flow.nodes.map((node) => [node.id, 0]));
  const children = new Map<string, string[]>();
  for (const { from, to } of flow.edges) {
    waiting.set(to, (waiting.get(to) ?? 0) + 1);
    children.set(from, [...(children.get(from) ?? []), to]);
  }
  const rank = new Map(flow.nodes.map((node, index) => [node.id, index]));
  const ready = flow.nodes
    .filter((node) => !waiting.get(node.id))
    .map((node) => node.id)
    .reverse();
  const ordered: string[] = [];
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    ordered.push(id);
    const freed = (children.get(id) ?? []).filter((child) => {
      const left = (waiting.get(child) ?? 0) - 1;
      waiting.set(child, left);
      return !left;
    });
    ready.push(...freed.sort((a, b) => (rank.get(b) ?? 0) - (rank.get(a) ?? 0)));
  }
  return ordered;
}
