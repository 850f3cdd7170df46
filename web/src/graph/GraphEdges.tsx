import { isWritten } from "./flow";
import type { Layout, Point } from "./layout";
import { roundedPath } from "./path";

const ARROW = 7;

export type EdgeState = "began" | "waits" | "skipped";
const DRAWN_IN_ORDER: readonly EdgeState[] = ["waits", "skipped", "began"];

export interface GraphEdgesProps {
  readonly layout: Layout;
  readonly zoom: number;
  readonly hasLabels: boolean;
  /** The nodes of which all edges are lifted; null for none. */
  readonly lifted: ReadonlySet<string> | null;
  stateOf(target: string): EdgeState;
}

/** The edges of a graph, below its nodes. */
export function GraphEdges({ layout, zoom, hasLabels, lifted, stateOf }: GraphEdgesProps) {
  const drawn = layout.edges.map((placed) => {
    const { from, to } = placed.edge;
    const isLifted = lifted?.has(from) && lifted.has(to);
    return { placed, state: stateOf(to), isLifted: Boolean(isLifted) };
  });
  drawn.sort(
    (a, b) =>
      Number(a.isLifted) - Number(b.isLifted) ||
      DRAWN_IN_ORDER.indexOf(a.state) - DRAWN_IN_ORDER.indexOf(b.state),
  );
  return (
    <svg
      class={`graph-edges ${lifted ? "has-lifted" : ""}`}
      width={layout.width * zoom}
      height={layout.height * zoom}
      aria-hidden="true"
    >
      {drawn.map(({ placed, state, isLifted }) => {
        const points = placed.points.map((point) => scaled(point, zoom));
        const end = points.at(-1);
        if (!end) return null;
        const line = [...points.slice(0, -1), { x: end.x - ARROW + 1, y: end.y }];
        return (
          <g
            key={`${placed.edge.from}\n${placed.edge.to}`}
            class={`graph-edge is-${state} ${isLifted ? "is-lifted" : ""}`}
          >
            <path class="graph-edge-line" d={roundedPath(line)} />
            <path class="graph-edge-arrow" d={`M${end.x} ${end.y}l${-ARROW} -3.5v7z`} />
          </g>
        );
      })}
      {hasLabels ? labels(layout).map((label) => <Label key={label.target} {...label} zoom={zoom} />) : null}
    </svg>
  );
}

function scaled({ x, y }: Point, zoom: number): Point {
  return { x: x * zoom, y: y * zoom };
}

interface EdgeLabel extends Point {
  readonly target: string;
  readonly above: string;
  readonly below: string;
}

/** The kinds of dependency other than `afterok`, once before each node. */
function labels(layout: Layout): EdgeLabel[] {
  const made = new Map<string, EdgeLabel>();
  for (const { edge, points } of layout.edges) {
    if (!isWritten(edge)) continue;
    const above = edge.type === "afterok" ? "" : edge.type;
    const below = edge.isSame ? "same" : "";
    const end = points.at(-1);
    if (!end) continue;
    const before = made.get(edge.to);
    made.set(edge.to, {
      target: edge.to,
      x: end.x - layout.gapBefore(edge.to) / 2,
      y: end.y,
      above: above || before?.above || "",
      below: below || before?.below || "",
    });
  }
  return [...made.values()];
}

function Label({ x, y, above, below, zoom }: EdgeLabel & { zoom: number }) {
  return (
    <>
      {above ? (
        <text class="graph-edge-label" x={x * zoom} y={y * zoom - 7} text-anchor="middle">
          {above}
        </text>
      ) : null}
      {below ? (
        <text class="graph-edge-label" x={x * zoom} y={y * zoom + 15} text-anchor="middle">
          {below}
        </text>
      ) : null}
    </>
  );
}
