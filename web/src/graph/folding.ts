// Folds a large graph by the spec alone: chains without branches, then siblings with the same ends.
import type { Flow, FlowEdge, FlowNode } from "./flow";

/** From so many nodes on a graph is folded. */
export const FOLDED_FROM = 40;
const FEWEST = 3; // nodes that are worth a fold

/**
 * The graph with its folds, but for those that are open.
 *
 * @param open the ids of the folds whose items are shown
 */
export function fold(flow: Flow, open: ReadonlySet<string> = new Set()): Flow {
  let nodes = flow.nodes;
  let edges = flow.edges;
  while (nodes.length >= FOLDED_FROM) {
    const chained = merge(nodes, edges, chains(nodes, edges), "chain");
    const level = merge(chained.nodes, chained.edges, siblings(chained.nodes, chained.edges), "siblings");
    if (level.nodes.length === nodes.length) break;
    nodes = level.nodes;
    edges = level.edges;
  }
  const shown = nodes.flatMap((node) => opened(node, open));
  return { nodes: shown, edges: between(flow.edges, shown) };
}

function opened(node: FlowNode, open: ReadonlySet<string>): readonly FlowNode[] {
  return open.has(node.id) ? node.items.flatMap((item) => opened(item, open)) : [node];
}

/** The nodes of the document that a node stands for. */
export function leaves(node: FlowNode): readonly FlowNode[] {
  return node.kind === "fold" ? node.items.flatMap(leaves) : [node];
}

interface Ends {
  readonly parents: Map<string, FlowEdge[]>;
  readonly children: Map<string, FlowEdge[]>;
}

function endsOf(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): Ends {
  const parents = new Map<string, FlowEdge[]>(nodes.map((node) => [node.id, []]));
  const children = new Map<string, FlowEdge[]>(nodes.map((node) => [node.id, []]));
  for (const edge of edges) {
    parents.get(edge.to)?.push(edge);
    children.get(edge.from)?.push(edge);
  }
  return { parents, children };
}

function chains(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): FlowNode[][] {
  const { parents, children } = endsOf(nodes, edges);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const only = (list: FlowEdge[] | undefined) => (list?.length === 1 ? list[0] : undefined);
  /** The next one, if nothing else leads there and nothing else leaves here. */
  const after = (node: FlowNode) => {
    const next = byId.get(only(children.get(node.id))?.to ?? "");
    return next && only(parents.get(next.id)) && next.isHandler === node.isHandler ? next : undefined;
  };
  const inside = new Set(nodes.map(after).filter((node) => node !== undefined));
  const found: FlowNode[][] = [];
  for (const first of nodes) {
    if (inside.has(first)) continue;
    const chain = [first];
    for (let next = after(first); next; next = after(next)) chain.push(next);
    if (chain.length >= FEWEST) found.push(chain);
  }
  return found;
}

function siblings(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): FlowNode[][] {
  const { parents, children } = endsOf(nodes, edges);
  const alike = new Map<string, FlowNode[]>();
  for (const node of nodes) {
    const before = (parents.get(node.id) ?? []).map((edge) => [edge.from, edge.type]);
    const after = (children.get(node.id) ?? []).map((edge) => [edge.to, edge.type]);
    const key = JSON.stringify([node.isHandler, before.sort(), after.sort()]);
    alike.set(key, [...(alike.get(key) ?? []), node]);
  }
  return [...alike.values()].filter((list) => list.length >= FEWEST);
}

function merge(
  nodes: readonly FlowNode[],
  edges: readonly FlowEdge[],
  sets: readonly FlowNode[][],
  shape: "chain" | "siblings",
): Flow {
  const folds = new Map<string, FlowNode>();
  for (const items of sets) {
    const [first] = items;
    if (!first) continue;
    const made: FlowNode = {
      id: `${shape} ${first.id}`,
      kind: "fold",
      members: items.flatMap((item) => item.members),
      isHandler: first.isHandler,
      items,
      shape,
    };
    for (const item of items) folds.set(item.id, made);
  }
  const kept = nodes.flatMap((node) => {
    const made = folds.get(node.id);
    if (!made) return [node];
    return made.items[0] === node ? [made] : [];
  });
  return { nodes: kept, edges: between(edges, kept) };
}

/** The edges between the shown nodes; one a pair. */
function between(edges: readonly FlowEdge[], shown: readonly FlowNode[]): FlowEdge[] {
  const place = new Map<string, string>();
  const put = (node: FlowNode, id: string) => {
    place.set(node.id, id);
    for (const item of node.items) put(item, id);
  };
  for (const node of shown) put(node, node.id);
  const made = new Map<string, FlowEdge>();
  for (const edge of edges) {
    const [from, to] = [place.get(edge.from), place.get(edge.to)];
    if (from === undefined || to === undefined || from === to) continue;
    const key = `${from}\n${to}`;
    if (!made.has(key)) made.set(key, { ...edge, from, to });
  }
  return [...made.values()];
}
