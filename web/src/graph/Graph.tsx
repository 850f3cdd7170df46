import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";
import { useKeys } from "../app/keys";
import { count } from "../ui/format";
import { type Flow, type FlowNode, flowOf, hasWrittenEdge, lineage, signature } from "./flow";
import { fold } from "./folding";
import { GraphEdges } from "./GraphEdges";
import { GraphList } from "./GraphList";
import { type Detail, GraphNode } from "./GraphNode";
import { type Layout, layOut, type PlacedNode } from "./layout";
import { edgeState, statesOf } from "./nodeState";
import { usePanning } from "./usePanning";
import "./Graph.css";

export interface GraphProps {
  readonly graph: GraphDocument;
  /** The tasks of `exp.status/1`: their statuses and times. */
  readonly tasks: StatusDocument["tasks"];
  /** The id of the picked task or group. */
  readonly picked: string | null;
  onPick(id: string): void;
}

const MARGIN = 24;
const LEAST_FITTED = 0.6; // names can still be read
const LEAST_ZOOM = 0.25;
const ALL_FROM = 0.9;
const LABEL_ROOM = 56; // pixels between layers, for what is written at an edge
const ZOOM_STEP = 1.2;
const MOST_DRAWN = 300; // more nodes open as the list
const TOOLS = 32; // pixels, the height of the buttons below
const PAN_STEP = 80; // pixels

/** The tasks of an experiment, left to right, each as a button. */
export function Graph(props: GraphProps) {
  const { graph, tasks } = props;
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [isList, setList] = useState<boolean | null>(null);
  const flow = useMemo(() => flowOf(graph, tasks), [signature(graph), tasks.length]);
  const folded = useMemo(() => fold(flow, open), [flow, open]);
  useKeys([{ keys: "g g", label: "the graph", group: "One experiment", run: comeHere }]);
  const shown = isList ?? folded.nodes.length > MOST_DRAWN;
  if (shown) {
    return (
      <div class="graph" id="graph">
        <GraphList {...props} />
        <p class="graph-tools">
          <button type="button" onClick={() => setList(false)}>
            As a graph
          </button>
        </p>
      </div>
    );
  }
  return <Drawn {...props} folded={folded} open={open} setOpen={setOpen} showList={() => setList(true)} />;
}

/** The keyboard goes to the picked node, else to the first one. */
function comeHere(): void {
  const graph = document.getElementById("graph");
  const target = graph?.querySelector<HTMLElement>("[data-node][tabindex='0'], [aria-pressed=true], button");
  target?.focus();
}

interface DrawnProps extends GraphProps {
  readonly folded: ReturnType<typeof fold>;
  readonly open: ReadonlySet<string>;
  setOpen(open: ReadonlySet<string>): void;
  showList(): void;
}

function Drawn(props: DrawnProps) {
  const { graph, tasks, picked, onPick, folded, open, setOpen } = props;
  const stateOf = useMemo(() => statesOf(graph, tasks), [graph, tasks]);
  const scroll = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState<{ width: number; height: number } | null>(null);
  const [chosenZoom, setZoom] = useState<number | null>(null);
  const [lifted, setLifted] = useState<string | null>(null);
  const [stop, setStop] = useState<string | null>(null);

  useLayoutEffect(() => {
    const box = scroll.current;
    if (!box) return;
    const measure = () => setRoom({ width: box.clientWidth, height: box.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  usePanning(scroll);

  const width = (room?.width ?? Number.POSITIVE_INFINITY) - 2 * MARGIN;
  const { layout, fitted } = useMemo(() => laidOutFor(folded, width), [folded, width]);
  const zoom = chosenZoom ?? fitted;
  const detail: Detail = zoom >= ALL_FROM ? "all" : zoom >= LEAST_FITTED ? "name" : "mark";
  const family = useMemo(() => (lifted === null ? null : lineage(folded.edges, lifted)), [folded, lifted]);
  const hasFolds = folded.nodes.length < graph.nodes.length;
  const isCut =
    room !== null && (layout.width * zoom > width || layout.height * zoom > room.height - 2 * MARGIN + 4);
  const hasTools = hasFolds || isCut || chosenZoom !== null || open.size > 0;
  const byId = useMemo(() => new Map(folded.nodes.map((node) => [node.id, node])), [folded]);
  const parents = useMemo(() => {
    const made = new Map<string, FlowNode[]>();
    for (const { from, to } of folded.edges) {
      const parent = byId.get(from);
      if (parent) made.set(to, [...(made.get(to) ?? []), parent]);
    }
    return made;
  }, [folded, byId]);
  const edgeStateOf = (id: string) => {
    const node = byId.get(id);
    return node ? edgeState(stateOf(node), (parents.get(id) ?? []).map(stateOf)) : "waits";
  };
  const shownPick = picked === null ? null : holderOf(picked, folded.nodes);
  const first = folded.nodes.find((node) => node.kind !== "external");
  const stopId = [stop, shownPick].find((id) => id !== null && byId.has(id)) ?? first?.id ?? null;

  useEffect(() => {
    const place = layout.nodes.find((each) => each.node.id === shownPick);
    if (place && scroll.current) reveal(scroll.current, place, zoom);
  }, [shownPick, layout, zoom]);

  const focus = (id: string) => {
    setStop(id);
    const go = () => {
      const buttons = [...(scroll.current?.querySelectorAll<HTMLElement>("[data-node]") ?? [])];
      const button = buttons.find((one) => one.dataset.node === id);
      button?.focus();
      return button !== undefined;
    };
    if (!go()) requestAnimationFrame(go); // a node that is about to be drawn
  };
  const unfold = (node: FlowNode) => {
    setOpen(new Set([...open, node.id]));
    const [inside] = node.items;
    if (inside) focus(inside.id);
  };
  const fitAll = () => {
    const box = scroll.current;
    if (!box) return;
    const most = Math.min(
      Number.parseFloat(getComputedStyle(box).maxHeight) || box.clientHeight,
      outerRoom(box),
    );
    const whole = Math.min(
      (box.clientWidth - 2 * MARGIN) / layout.width,
      (most - 2 * MARGIN) / layout.height,
      1,
    );
    setZoom(Math.max(LEAST_ZOOM, whole));
  };
  const zoomBy = (factor: number) => setZoom(Math.min(1, Math.max(LEAST_ZOOM, zoom * factor)));
  const pick = (node: FlowNode) => (node.kind === "fold" ? unfold(node) : onPick(node.id));

  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = event.target instanceof HTMLElement ? event.target.dataset.node : undefined;
    const node = focused === undefined ? undefined : byId.get(focused);
    if (event.key === "0") fitAll();
    else if (event.key === "+" && node?.kind === "fold") unfold(node);
    else if (event.key === "-" && open.size) setOpen(new Set([...open].slice(0, -1)));
    else if (event.key in DIRECTIONS) {
      const next = event.shiftKey || !node ? null : neighbour(layout, node.id, event.key);
      if (next) focus(next);
      else pan(scroll.current, event.key);
    } else return;
    event.preventDefault();
  };

  return (
    <div class="graph" id="graph">
      <section
        ref={scroll}
        class="graph-scroll"
        aria-label={`${graph.nodes.length} nodes; arrow keys follow the edges, Enter picks`}
        onKeyDown={onKey}
        onFocusIn={(event) => setLifted(nodeAt(event.target))}
        onFocusOut={() => setLifted(null)}
        onPointerOver={(event) => setLifted(nodeAt(event.target))}
        onPointerLeave={() => setLifted(null)}
      >
        <div
          class="graph-canvas"
          style={{ width: `${layout.width * zoom}px`, height: `${layout.height * zoom}px` }}
        >
          {layout.divider === null ? null : (
            <div class="graph-divider" style={{ left: `${layout.divider * zoom}px` }}>
              <span>when all is over</span>
            </div>
          )}
          <GraphEdges
            layout={layout}
            zoom={zoom}
            hasLabels={zoom >= LEAST_FITTED}
            lifted={family}
            stateOf={edgeStateOf}
          />
          {layout.nodes.map((place) => (
            <GraphNode
              key={place.node.id}
              place={place}
              state={stateOf(place.node)}
              zoom={zoom}
              detail={detail}
              isPicked={place.node.id === shownPick}
              isLifted={family?.has(place.node.id) ?? false}
              isStop={place.node.id === stopId}
              onPick={() => {
                setStop(place.node.id);
                pick(place.node);
              }}
            />
          ))}
        </div>
      </section>
      <p class={`graph-tools ${hasTools ? "" : "is-quiet"}`}>
        {hasFolds ? (
          <span>
            {count(graph.nodes.length)} nodes, folded into {count(folded.nodes.length)}
          </span>
        ) : null}
        {open.size ? (
          <button type="button" onClick={() => setOpen(new Set())}>
            Fold again
          </button>
        ) : null}
        <button type="button" aria-label="Smaller" onClick={() => zoomBy(1 / ZOOM_STEP)}>
          −
        </button>
        <button type="button" aria-label="Larger" onClick={() => zoomBy(ZOOM_STEP)}>
          +
        </button>
        <button type="button" title="Fit all of it (0)" onClick={fitAll}>
          Fit
        </button>
        <button type="button" onClick={props.showList}>
          As a list
        </button>
      </p>
      <div class="graph-print">
        <GraphList {...props} />
      </div>
    </div>
  );
}

/** The height that an outer box leaves, if it scrolls what is around this one. */
function outerRoom(box: HTMLElement): number {
  const outer = box.closest(".graph")?.parentElement;
  const isScrolled = outer && outer.scrollHeight > outer.clientHeight + 1;
  return isScrolled ? outer.clientHeight - TOOLS : Number.POSITIVE_INFINITY;
}

/** The layout, and the zoom at which the width shows all of it, but not less than lets names be read. */
function laidOutFor(flow: Flow, width: number): { layout: Layout; fitted: number } {
  const zoomOf = (layout: Layout) => Math.min(1, Math.max(LEAST_FITTED, width / layout.width));
  const plain = layOut(flow);
  const zoom = zoomOf(plain);
  if (zoom === 1 || !hasWrittenEdge(flow)) return { layout: plain, fitted: zoom };
  const roomy = layOut(flow, LABEL_ROOM / Math.max(LEAST_FITTED, zoom * 0.95));
  return { layout: roomy, fitted: zoomOf(roomy) };
}

const DIRECTIONS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function pan(box: HTMLElement | null, key: string): void {
  const [x, y] = DIRECTIONS[key] ?? [0, 0];
  box?.scrollBy(x * PAN_STEP, y * PAN_STEP);
}

/** The node that an arrow key leads to: along an edge, or above and below in the same layer. */
function neighbour(layout: Layout, id: string, key: string): string | null {
  const here = layout.nodes.find((place) => place.node.id === id);
  if (!here) return null;
  const others = layout.nodes.filter((place) => place !== here && place.node.kind !== "external");
  const reached = new Set(
    layout.edges.flatMap(({ edge }) => {
      if (key === "ArrowRight" && edge.from === id) return [edge.to];
      return key === "ArrowLeft" && edge.to === id ? [edge.from] : [];
    }),
  );
  const found = others.filter((place) => {
    if (key === "ArrowUp") return place.layer === here.layer && place.y < here.y;
    if (key === "ArrowDown") return place.layer === here.layer && place.y > here.y;
    return reached.has(place.node.id);
  });
  const toHandlers = key === "ArrowRight" && !found.length && !here.node.isHandler;
  const choice = toHandlers ? others.filter((place) => place.node.isHandler) : found;
  const distance = (place: PlacedNode) => Math.abs(place.y - here.y) + Math.abs(place.x - here.x) / 1000;
  return choice.sort((a, b) => distance(a) - distance(b))[0]?.node.id ?? null;
}

function nodeAt(target: EventTarget | null): string | null {
  const element = target instanceof Element ? target.closest<HTMLElement>("[data-node]") : null;
  return element?.dataset.node ?? null;
}

/** The shown node that is a task or group, or holds it. */
function holderOf(id: string, nodes: readonly FlowNode[]): string | null {
  const found =
    nodes.find((node) => node.id === id) ??
    nodes.find((node) => node.members.includes(id) || node.items.some((item) => item.id === id));
  return found?.id ?? null;
}

/** Scrolls as little as shows a node, in this box alone. */
function reveal(box: HTMLElement, place: PlacedNode, zoom: number): void {
  const left = place.x * zoom;
  const top = place.y * zoom;
  const right = left + 172 * zoom + 2 * MARGIN;
  const bottom = top + 44 * zoom + 2 * MARGIN;
  if (left < box.scrollLeft) box.scrollLeft = left;
  else if (right > box.scrollLeft + box.clientWidth) box.scrollLeft = right - box.clientWidth;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}
