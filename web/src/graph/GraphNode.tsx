import { ProgressBar } from "../ui/ProgressBar";
import { StatusMark } from "../ui/StatusMark";
import type { PlacedNode } from "./layout";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";
import { NodeName } from "./NodeName";
import { foldEnds, foldNames, nodeName } from "./names";
import type { NodeState } from "./nodeState";

/** How much of a node there is room for: all, mark and name, or the mark. */
export type Detail = "all" | "name" | "mark";

export interface GraphNodeProps {
  readonly place: PlacedNode;
  readonly state: NodeState;
  readonly zoom: number;
  readonly detail: Detail;
  readonly isPicked: boolean;
  readonly isLifted: boolean;
  /** Whether Tab leads here. */
  readonly isStop: boolean;
  onPick(): void;
}

const LEAST_BAR = 0.45; // the zoom below which a bar would cover the mark

/** Estimates in pixels: what is around a name and a text, and a character of each. */
const WIDTHS = { around: 54, letter: 8, figure: 7 };
/** The same where only the name is shown, in smaller letters. */
const SMALL = { around: 37, letter: 7.3, figure: 7.3 };

/** A task, a group or a fold, as a button. */
export function GraphNode(props: GraphNodeProps) {
  const { place, state, zoom, detail } = props;
  const { node } = place;
  const many = node.kind === "group" || node.kind === "fold";
  const classes = [
    "graph-node",
    `detail-${detail}`,
    `is-${state.status ?? "PENDING"}`,
    node.kind === "fold" ? "is-fold" : "",
    props.isPicked ? "is-picked" : "",
    props.isLifted ? "is-lifted" : "",
  ];
  const style = {
    left: `${place.x * zoom}px`,
    top: `${place.y * zoom}px`,
    width: `${NODE_WIDTH * zoom}px`,
    height: `${NODE_HEIGHT * zoom}px`,
  };
  const name = nodeName(node);
  const title = [name, node.kind === "fold" ? foldNames(node) : "", state.about].filter(Boolean).join("\n");
  const waits = state.counts.PENDING === node.members.length;
  const hasBar =
    many &&
    state.status !== "SUCCEEDED" &&
    state.status !== null &&
    !waits &&
    detail !== "name" &&
    zoom >= LEAST_BAR;
  const isWord = state.text === "skipped";
  const needed = WIDTHS.around + name.length * WIDTHS.letter + state.text.length * WIDTHS.figure;
  const hasText = detail === "all" && state.text && !(isWord && needed > NODE_WIDTH * zoom);
  const times = `×${node.members.length}`;
  const neededSmall = SMALL.around + name.length * SMALL.letter + times.length * SMALL.figure;
  const hasTimes = node.kind === "group" && (detail === "all" || neededSmall <= NODE_WIDTH * zoom);
  const content = (
    <>
      <span class="graph-node-line">
        <StatusMark status={state.status ?? "PENDING"} />
        {detail === "mark" ? (
          <span class="visually-hidden">{name}</span>
        ) : (
          <span class="graph-node-name">
            {node.kind === "fold" ? <span class="graph-node-fold">{name}</span> : <NodeName name={name} />}
            {hasTimes ? <span class="graph-node-times">{times}</span> : null}
          </span>
        )}
        {hasText ? <span class="graph-node-text">{state.text}</span> : null}
        {node.kind === "fold" && detail === "all" ? (
          <span class="graph-node-plus" aria-hidden="true">
            +
          </span>
        ) : null}
      </span>
      {node.kind === "fold" && detail === "all" ? (
        <span class="graph-node-hint">
          <NodeName name={foldEnds(node)} />
        </span>
      ) : null}
      {hasBar ? <ProgressBar counts={state.counts} /> : null}
    </>
  );
  return (
    <div class={classes.filter(Boolean).join(" ")} style={style}>
      {many ? <i class="graph-node-sheet" aria-hidden="true" /> : null}
      {node.kind === "external" ? (
        <div class="graph-node-box is-external" title={title}>
          {content}
        </div>
      ) : (
        <button
          type="button"
          class="graph-node-box"
          data-node={node.id}
          title={title}
          tabIndex={props.isStop ? 0 : -1}
          aria-pressed={node.kind === "fold" ? undefined : props.isPicked}
          aria-expanded={node.kind === "fold" ? false : undefined}
          onClick={props.onPick}
        >
          {content}
        </button>
      )}
    </div>
  );
}
