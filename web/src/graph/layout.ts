// Where the nodes of a graph stand and how its edges run, by the spec alone: nothing jumps when a status changes.
import { type Flow, type FlowEdge, type FlowNode, isWritten } from "./flow";

export const NODE_WIDTH = 172;
export const NODE_HEIGHT = 44;
export const LANE = 60;
export const LAYER = 232;
const GAP = LAYER - NODE_WIDTH;
const HANDLER_GAP = 24; // more than between layers, for the dotted line
const TRACK = 8; // between two trunks in one gap
const TRACK_MARGIN = 16; // at both ends of a gap: what leaves a node, and the arrow

const NODE_ROOM = 1; // lanes
const MIXED_ROOM = 0.75; // between a node and an edge that passes it
const EDGE_ROOM = 0.25;
const SNAP = 4; // a lane has so many places
const SWEEPS = 8;
const STRAIGHTENINGS = 3;
const MOST_MOVED = 1.5; // lanes
const MOST_LONE_ROWS = 6; // more nodes without edges stand in several columns

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface PlacedNode extends Point {
  readonly node: FlowNode;
  readonly layer: number;
}

export interface PlacedEdge {
  readonly edge: FlowEdge;
  /** Its corners, from the right side of a node to the left side of another one. */
  readonly points: readonly Point[];
}

export interface Layout {
  /** `x` and `y` of a node are those of its upper left corner. */
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
  readonly width: number;
  readonly height: number;
  /** The width of the gap before a node's layer. */
  gapBefore(id: string): number;
  /** The place of the dotted line before the handlers; null without handlers. */
  readonly divider: number | null;
}

/** A node, or an edge of `source` that passes a layer. Edges of one source share it. */
interface Item {
  readonly key: string;
  readonly source: string;
  readonly node: FlowNode | null;
  readonly layer: number;
  left: Item[];
  right: Item[];
  lane: number;
}

/**
 * The places of all nodes and edges.
 *
 * @param labelGap the least gap before a node at whose edges something is written
 */
export function layOut(flow: Flow, labelGap = GAP): Layout {
  const tasks = placed(flow, (node) => !node.isHandler);
  const handlers = placed(flow, (node) => node.isHandler);
  const lanes = Math.max(tasks.lanes, handlers.lanes);
  const shift = tasks.layers.length;
  const layers = [...tasks.layers, ...handlers.layers];
  for (const item of tasks.layers.flat()) item.lane += (lanes - tasks.lanes) / 2;
  for (const item of handlers.layers.flat()) item.lane += (lanes - handlers.lanes) / 2;
  const links = layers.map(linksOf);
  const written = new Set(flow.edges.filter(isWritten).map((edge) => edge.to));
  const gaps = links.map((ofGap, index) => {
    const next = layers[index + 1] ?? [];
    const least = next.some((each) => each.node && written.has(each.key)) ? labelGap : GAP;
    return Math.max(least, 2 * TRACK_MARGIN + Math.max(0, ...ofGap.map((link) => link.track)) * TRACK);
  });
  const starts: number[] = [];
  let x = 0;
  for (const [index, gap] of gaps.entries()) {
    if (index === shift && shift > 0) x += HANDLER_GAP;
    starts.push(x);
    x += NODE_WIDTH + gap;
  }
  const left = (item: Item) => starts[item.layer + (item.node?.isHandler ? shift : 0)] ?? 0;
  const middle = (item: Item) => item.lane * LANE + NODE_HEIGHT / 2;
  const trackPlace = new Map<Item, number>();
  for (const [index, ofGap] of links.entries()) {
    const from = (starts[index] ?? 0) + NODE_WIDTH;
    const to = from + (gaps[index] ?? GAP);
    const tracks = Math.max(0, ...ofGap.map((link) => link.track + 1));
    const step = tracks > 1 ? Math.min(TRACK * 1.5, (to - from - 2 * TRACK_MARGIN) / (tracks - 1)) : 0;
    for (const link of ofGap) {
      for (const source of link.from)
        trackPlace.set(source, (from + to) / 2 + (link.track - (tracks - 1) / 2) * step);
    }
  }
  const items = new Map(layers.flat().map((item) => [item.key, item]));
  const nodes = layers.flat().flatMap((item) =>
    item.node
      ? [
          {
            node: item.node,
            layer: item.layer + (item.node.isHandler ? shift : 0),
            x: left(item),
            y: item.lane * LANE,
          },
        ]
      : [],
  );
  const order = new Map(flow.nodes.map((node, index) => [node.id, index]));
  nodes.sort((a, b) => (order.get(a.node.id) ?? 0) - (order.get(b.node.id) ?? 0));
  const edges = flow.edges.flatMap((edge) => {
    const [source, target] = [items.get(edge.from), items.get(edge.to)];
    if (!source || !target) return [];
    const points: Point[] = [{ x: left(source) + NODE_WIDTH, y: middle(source) }];
    for (let at = source; at !== target; ) {
      const next = at.layer + 1 === target.layer ? target : items.get(passKey(edge.from, at.layer + 1));
      if (!next) break;
      const turn = trackPlace.get(at);
      if (middle(next) !== middle(at) && turn !== undefined) {
        points.push({ x: turn, y: middle(at) }, { x: turn, y: middle(next) });
      }
      at = next;
    }
    points.push({ x: left(target), y: middle(target) });
    return [{ edge, points }];
  });
  const layerOf = new Map(nodes.map((place) => [place.node.id, place.layer]));
  const last = starts.at(-1);
  const firstHandler = starts[shift];
  return {
    nodes,
    edges,
    width: last === undefined ? 0 : Math.max(last, ...nodes.map((node) => node.x)) + NODE_WIDTH,
    height: Math.max(0, ...nodes.map((node) => node.y + NODE_HEIGHT)),
    gapBefore: (id) => gaps[(layerOf.get(id) ?? 0) - 1] ?? GAP,
    divider: handlers.layers.length && shift ? (firstHandler ?? 0) - (GAP + HANDLER_GAP) / 2 : null,
  };
}

/** The layer of each node: the longest way from a root. */
export function layersOf(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): Map<string, number> {
  const layer = new Map(nodes.map((node) => [node.id, 0]));
  const waiting = new Map(nodes.map((node) => [node.id, 0]));
  const children = new Map<string, string[]>();
  for (const { from, to } of edges) {
    if (!layer.has(from) || !layer.has(to)) continue;
    waiting.set(to, (waiting.get(to) ?? 0) + 1);
    const list = children.get(from);
    if (list) list.push(to);
    else children.set(from, [to]);
  }
  const ready = nodes.map((node) => node.id).filter((id) => !waiting.get(id));
  for (const id of ready) {
    for (const child of children.get(id) ?? []) {
      layer.set(child, Math.max(layer.get(child) ?? 0, (layer.get(id) ?? 0) + 1));
      const left = (waiting.get(child) ?? 0) - 1;
      waiting.set(child, left);
      if (!left) ready.push(child);
    }
  }
  return layer;
}

function passKey(source: string, layer: number): string {
  return `${source}\n${layer}`;
}

interface Placed {
  readonly layers: Item[][];
  readonly lanes: number;
}

/** Part of a graph: each of its connected parts in lanes of its own, then nodes without edges as a block. */
function placed(flow: Flow, isPart: (node: FlowNode) => boolean): Placed {
  const nodes = flow.nodes.filter(isPart);
  const ids = new Set(nodes.map((node) => node.id));
  const edges = flow.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to));
  const layer = layersOf(nodes, edges);
  const count = Math.max(0, ...[...layer.values()].map((value) => value + 1));
  const layers: Item[][] = Array.from({ length: count }, () => []);
  let lanes = 0;
  const lone: FlowNode[] = [];
  for (const part of connected(nodes, edges)) {
    const [only] = part;
    if (only && part.length === 1) {
      lone.push(only);
      continue;
    }
    const own = new Set(part.map((node) => node.id));
    const ordered = withPassing(
      part,
      edges.filter((edge) => own.has(edge.from)),
      layer,
    );
    uncross(ordered);
    const height = assignLanes(ordered);
    for (const [index, items] of ordered.entries()) {
      for (const item of items) item.lane += lanes;
      layers[index]?.push(...items);
    }
    lanes += height;
  }
  const isBlock = lone.length > MOST_LONE_ROWS && !lone[0]?.isHandler;
  const columns = isBlock ? Math.max(count, Math.ceil(Math.sqrt(lone.length / 2))) : 1;
  for (const [index, node] of lone.entries()) {
    const column = index % columns;
    while (layers.length <= column) layers.push([]);
    layers[column]?.push(item(node, column, lanes + Math.floor(index / columns)));
  }
  return { layers, lanes: Math.max(0, ...layers.flat().map((each) => each.lane + 1)) };
}

function item(node: FlowNode, layer: number, lane = 0): Item {
  return { key: node.id, source: node.id, node, layer, left: [], right: [], lane };
}

/** The weakly connected parts, in the order of their first nodes. */
function connected(nodes: readonly FlowNode[], edges: readonly FlowEdge[]): FlowNode[][] {
  const root = new Map(nodes.map((node) => [node.id, node.id]));
  const find = (id: string): string => {
    let at = id;
    for (let up = root.get(at) ?? at; up !== at; up = root.get(at) ?? at) {
      root.set(at, root.get(up) ?? up);
      at = up;
    }
    return at;
  };
  for (const { from, to } of edges) root.set(find(to), find(from));
  const parts = new Map<string, FlowNode[]>();
  for (const node of nodes) {
    const key = find(node.id);
    const part = parts.get(key);
    if (part) part.push(node);
    else parts.set(key, [node]);
  }
  return [...parts.values()];
}

/** The items of each layer: the nodes, and for each source one item a layer that its edges pass. */
function withPassing(
  nodes: readonly FlowNode[],
  edges: readonly FlowEdge[],
  layer: ReadonlyMap<string, number>,
): Item[][] {
  const items = new Map(nodes.map((node) => [node.id, item(node, layer.get(node.id) ?? 0)]));
  const links = new Set<string>();
  for (const { from, to } of edges) {
    const [source, target] = [items.get(from), items.get(to)];
    if (!source || !target) continue;
    let at = source;
    for (let next = source.layer + 1; next <= target.layer; next++) {
      const key = next === target.layer ? to : passKey(from, next);
      const reached = items.get(key) ?? { ...item(source.node as FlowNode, next), key, node: null };
      items.set(key, reached);
      const link = `${at.key}\n\n${key}`;
      if (!links.has(link)) {
        links.add(link);
        at.right.push(reached);
        reached.left.push(at);
      }
      at = reached;
    }
  }
  const layers: Item[][] = [];
  for (const each of items.values()) {
    while (layers.length <= each.layer) layers.push([]);
    layers[each.layer]?.push(each);
  }
  return layers;
}

/** Orders each layer so that few edges cross; of equally good orders that of the spec remains. */
function uncross(layers: Item[][]): void {
  const position = new Map<Item, number>();
  const number = (items: readonly Item[]) => {
    for (const [index, each] of items.entries()) position.set(each, index);
  };
  layers.forEach(number);
  const at = (each: Item) => position.get(each) ?? 0;
  let best = layers.map((items) => [...items]);
  let fewest = crossings(best, at);
  for (let sweep = 0; sweep < SWEEPS && fewest; sweep++) {
    const side = sweep % 2 ? "right" : "left";
    const sequence = side === "left" ? layers : [...layers].reverse();
    for (const items of sequence) {
      const weight = new Map(
        items.map((each) => {
          const near = each[side];
          return [
            each,
            near.length ? near.reduce((sum, other) => sum + at(other), 0) / near.length : at(each),
          ];
        }),
      );
      items.sort((a, b) => (weight.get(a) ?? 0) - (weight.get(b) ?? 0));
      number(items);
    }
    const count = crossings(layers, at);
    if (count < fewest) {
      fewest = count;
      best = layers.map((items) => [...items]);
    }
  }
  for (const [index, items] of best.entries()) {
    layers[index]?.splice(0, items.length, ...items);
  }
}

function crossings(layers: readonly Item[][], at: (item: Item) => number): number {
  let count = 0;
  for (const items of layers) {
    const ends: number[] = [];
    for (const each of items) {
      const targets = each.right.map(at).sort((a, b) => a - b);
      for (const target of targets) for (const end of ends) if (end > target) count++;
      ends.push(...targets);
    }
  }
  return count;
}

/** Gives each item a lane: as near to its neighbours as the room between items allows. Returns the number of lanes. */
function assignLanes(layers: readonly Item[][]): number {
  for (const items of layers) spread(items, (_, index) => index);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const side = sweep % 2 ? "right" : "left";
    const sequence = side === "left" ? layers : [...layers].reverse();
    for (const items of sequence) {
      spread(items, (each) =>
        each[side].length ? median(each[side].map((other) => other.lane)) : each.lane,
      );
    }
  }
  for (const items of layers) {
    spread(items, (each) => (each.left.length ? median(each.left.map((other) => other.lane)) : each.lane));
  }
  straighten(layers);
  const all = layers.flat();
  const least = Math.min(...all.map((each) => each.lane));
  for (const each of all) each.lane -= least;
  return Math.ceil(Math.max(...all.map((each) => each.lane))) + 1;
}

/** Takes out small steps: where an edge passes layers, and where a node is a little off a neighbour. */
function straighten(layers: readonly Item[][]): void {
  const index = new Map(layers.flatMap((items) => items.map((each, at) => [each, at] as const)));
  const fits = (each: Item, lane: number) => {
    const at = index.get(each) ?? 0;
    const [above, below] = [layers[each.layer]?.[at - 1], layers[each.layer]?.[at + 1]];
    return (
      (!above || lane - above.lane >= room(above, each)) && (!below || below.lane - lane >= room(each, below))
    );
  };
  for (let round = 0; round < STRAIGHTENINGS; round++) {
    for (const each of layers.flat()) {
      if (each.node) continue;
      const chain = [each];
      for (let next = passing(each); next; next = passing(next)) chain.push(next);
      const nodes = [...each.left, ...(chain.at(-1)?.right ?? [])];
      const wishes = [...nodes, ...chain].map((other) => other.lane);
      const lane = wishes.find((wish) => chain.every((link) => fits(link, wish)));
      if (lane !== undefined && !chain.every((link) => link.lane === lane)) {
        const near = Math.max(...chain.map((link) => Math.abs(link.lane - lane)));
        if (near <= MOST_MOVED) for (const link of chain) link.lane = lane;
      }
    }
    for (const each of layers.flat()) {
      if (!each.node) continue;
      const near = each.left.length ? each.left : each.right.length === 1 ? each.right : [];
      const steps = near
        .map((other) => other.lane - each.lane)
        .filter((step) => step && Math.abs(step) < 0.5);
      const step = steps.sort((a, b) => Math.abs(a) - Math.abs(b))[0];
      if (step !== undefined && fits(each, each.lane + step)) each.lane += step;
    }
  }
}

/** The next item of an edge that passes on without a branch. */
function passing(each: Item): Item | undefined {
  return each.right.length === 1 ? each.right.find((other) => !other.node) : undefined;
}

/** Moves the items of a layer as little as possible from where they would be, so that each has its room. */
function spread(items: readonly Item[], wish: (item: Item, index: number) => number): void {
  interface Block {
    sum: number;
    weight: number;
    count: number;
  }
  const blocks: Block[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const [index, each] of items.entries()) {
    const before = items[index - 1];
    if (before) offset += room(before, each);
    offsets.push(offset);
    const weight = each.node ? 1 : 4;
    let block: Block = { sum: (wish(each, index) - offset) * weight, weight, count: 1 };
    for (
      let last = blocks.at(-1);
      last && last.sum / last.weight > block.sum / block.weight;
      last = blocks.at(-1)
    ) {
      blocks.pop();
      block = {
        sum: last.sum + block.sum,
        weight: last.weight + block.weight,
        count: last.count + block.count,
      };
    }
    blocks.push(block);
  }
  let index = 0;
  for (const block of blocks) {
    const base = Math.round((block.sum / block.weight) * SNAP) / SNAP;
    for (let end = index + block.count; index < end; index++) {
      const each = items[index];
      if (each) each.lane = base + (offsets[index] ?? 0);
    }
  }
}

function room(a: Item, b: Item): number {
  if (a.node && b.node) return NODE_ROOM;
  return a.node || b.node ? MIXED_ROOM : EDGE_ROOM;
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  const half = values.length >> 1;
  return values.length % 2 ? (values[half] ?? 0) : ((values[half - 1] ?? 0) + (values[half] ?? 0)) / 2;
}

/** A trunk on a track of the gap right of a layer: from items that lead to the same others. */
interface Link {
  readonly from: readonly Item[];
  readonly top: number;
  readonly bottom: number;
  readonly ends: readonly number[];
  track: number;
}

/** The trunks of a gap, on tracks so that none lies over another one and few edges cross. */
function linksOf(items: readonly Item[]): Link[] {
  const alike = new Map<string, Item[]>();
  for (const each of items) {
    if (!each.right.length) continue;
    const key = JSON.stringify(each.right.map((other) => other.key).sort());
    alike.set(key, [...(alike.get(key) ?? []), each]);
  }
  const links: Link[] = [];
  for (const from of alike.values()) {
    const ends = (from[0]?.right ?? []).map((other) => other.lane);
    const all = [...from.map((each) => each.lane), ...ends];
    const [top, bottom] = [Math.min(...all), Math.max(...all)];
    if (top !== bottom) links.push({ from, ends, top, bottom, track: 0 });
  }
  for (let round = 0; round < links.length; round++) {
    let isChanged = false;
    for (let index = 1; index < links.length; index++) {
      const [a, b] = [links[index - 1], links[index]];
      if (a && b && crossed(b, a) < crossed(a, b)) {
        links[index - 1] = b;
        links[index] = a;
        isChanged = true;
      }
    }
    if (!isChanged) break;
  }
  for (const [index, link] of links.entries()) {
    for (const before of links.slice(0, index)) {
      if (before.top <= link.bottom && link.top <= before.bottom) {
        link.track = Math.max(link.track, before.track + 1);
      }
    }
  }
  return links;
}

/** How often two trunks cross if the first one is left of the second one. */
function crossed(left: Link, right: Link): number {
  const within = (lane: number, link: Link) => link.top < lane && lane < link.bottom;
  return (
    left.ends.filter((lane) => within(lane, right)).length +
    right.from.filter((each) => within(each.lane, left)).length
  );
}
