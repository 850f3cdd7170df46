import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { StatusDocument } from "../api/documents/status";
import { duration } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { type FlowNode, flowOf, signature } from "./flow";
import { fold } from "./folding";
import type { GraphProps } from "./Graph";
import { type Lanes, lanesOf } from "./lanes";
import { NodeBar } from "./NodeBar";
import { NodeName } from "./NodeName";
import { foldEnds, nodeName } from "./names";
import { edgeState, type NodeState, statesOf } from "./nodeState";
import { roundedPath } from "./path";
import "./GraphList.css";

type Task = StatusDocument["tasks"][number];

export interface GraphListProps extends GraphProps {
  /** What to say of a task or group in its second line, if something else than its own state. */
  note?(id: string): ComponentChildren;
}

const ROW = 44;
const COLUMN = 16;
const MOST_LANES_WIDTH = 96;
const LEFT = 20; // the middle of the first column

/** The graph as rows, with the lines of `exp graph` at the left. */
export function GraphList({ graph, tasks, picked, onPick, note }: GraphListProps) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const flow = useMemo(() => flowOf(graph, tasks), [signature(graph), tasks.length]);
  const folded = useMemo(() => fold(flow, open), [flow, open]);
  const lanes = useMemo(() => lanesOf(folded), [folded]);
  const stateOf = useMemo(() => statesOf(graph, tasks), [graph, tasks]);
  const byId = new Map(folded.nodes.map((node) => [node.id, node]));
  const taskOf = new Map(tasks.map((task) => [task.id, task]));
  const parents = new Map<string, FlowNode[]>();
  for (const { from, to } of folded.edges) {
    const parent = byId.get(from);
    if (parent) parents.set(to, [...(parents.get(to) ?? []), parent]);
  }
  const step = Math.min(COLUMN, MOST_LANES_WIDTH / Math.max(1, lanes.columns - 1));
  const width = LEFT + (lanes.columns - 1) * step;
  return (
    <div class="graph-list">
      <LaneLines
        lanes={lanes}
        step={step}
        stateOf={(id) => {
          const node = byId.get(id);
          return node ? edgeState(stateOf(node), (parents.get(id) ?? []).map(stateOf)) : "waits";
        }}
      />
      <ol aria-label="Tasks, each after those that it depends on">
        {lanes.rows.map((row) => {
          const node = byId.get(row.id);
          if (!node) return null;
          const state = stateOf(node);
          const isPicked = node.id === picked || (picked !== null && node.members.includes(picked));
          return (
            <li key={row.id}>
              <Row
                node={node}
                state={state}
                isPicked={isPicked}
                onPick={() => (node.kind === "fold" ? setOpen(new Set([...open, node.id])) : onPick(node.id))}
                mark={LEFT + row.column * step}
                indent={width + 20}
                second={
                  note?.(node.id) ?? (
                    <Second
                      node={node}
                      state={state}
                      task={taskOf.get(node.id)}
                      parents={parents.get(node.id)}
                      stateOf={stateOf}
                    />
                  )
                }
              />
            </li>
          );
        })}
      </ol>
    </div>
  );
}

interface RowProps {
  readonly node: FlowNode;
  readonly state: NodeState;
  readonly isPicked: boolean;
  readonly mark: number;
  readonly indent: number;
  readonly second: ComponentChildren;
  onPick(): void;
}

function Row({ node, state, isPicked, mark, indent, second, onPick }: RowProps) {
  const content = (
    <>
      <span class="graph-list-mark" style={{ left: `${mark - 7}px` }}>
        <StatusMark status={state.status ?? "PENDING"} />
      </span>
      <span class="graph-list-first">
        {node.kind === "fold" ? <span>{nodeName(node)}</span> : <NodeName name={nodeName(node)} />}
        {node.kind === "group" ? <span class="graph-list-times">×{node.members.length}</span> : null}
        {state.status ? (
          <span class={`graph-list-status status-word status-${state.status}`} aria-hidden="true">
            {state.status}
          </span>
        ) : null}
      </span>
      <span class="graph-list-second">{second}</span>
    </>
  );
  const style = { paddingLeft: `${indent}px` };
  if (node.kind === "external") {
    return (
      <div class="graph-list-row" style={style}>
        {content}
      </div>
    );
  }
  return (
    <button
      type="button"
      class={`graph-list-row ${isPicked ? "is-picked" : ""}`}
      style={style}
      aria-pressed={node.kind === "fold" ? undefined : isPicked}
      aria-expanded={node.kind === "fold" ? false : undefined}
      onClick={onPick}
    >
      {content}
    </button>
  );
}

interface SecondProps {
  readonly node: FlowNode;
  readonly state: NodeState;
  readonly task: Task | undefined;
  readonly parents: readonly FlowNode[] | undefined;
  stateOf(node: FlowNode): NodeState;
}

/** The second line of a row: how far it is, why it failed, or what it waits for. */
function Second({ node, state, task, parents = [], stateOf }: SecondProps) {
  if (node.kind === "fold" || node.kind === "group") {
    const total = node.members.length;
    return (
      <>
        {state.status && state.status !== "SUCCEEDED" ? (
          <NodeBar counts={state.counts} total={total} />
        ) : null}
        {state.status ? <span>{`${state.counts.SUCCEEDED ?? 0}/${total}`}</span> : null}
        {state.counts.FAILED ? <b class="graph-list-failed">{state.counts.FAILED} failed</b> : null}
        {node.kind === "fold" ? <span class="graph-list-names">{foldEnds(node)}</span> : null}
      </>
    );
  }
  if (state.status === null || state.status === "PENDING") {
    if (node.isHandler) return <>when all is over</>;
    const waits = parents
      .filter((parent) => stateOf(parent).status !== "SUCCEEDED")
      .map((parent) => parent.id);
    return (
      <>
        {state.status === null ? "" : waits.length ? `waits for ${waits.join(", ")}` : (task?.message ?? "")}
      </>
    );
  }
  const parts = [
    state.status === "SUCCEEDED" ? "" : (task?.message ?? ""),
    task && task.attempt > 1 ? `attempt ${task.attempt}` : "",
    task && task.duration !== null && state.status !== "SKIPPED" ? duration(task.duration) : "",
  ];
  return <>{parts.filter(Boolean).join(" · ")}</>;
}

interface LaneLinesProps {
  readonly lanes: Lanes;
  readonly step: number;
  stateOf(target: string): "began" | "waits" | "skipped";
}

const DRAWN_IN_ORDER = ["waits", "skipped", "began"];

function LaneLines({ lanes, step, stateOf }: LaneLinesProps) {
  const x = (column: number) => LEFT + column * step;
  const drawn = lanes.edges
    .map((edge) => ({ edge, state: stateOf(edge.to) }))
    .sort((a, b) => DRAWN_IN_ORDER.indexOf(a.state) - DRAWN_IN_ORDER.indexOf(b.state));
  return (
    <svg
      class="graph-list-lanes"
      width={x(lanes.columns)}
      height={lanes.rows.length * ROW}
      aria-hidden="true"
    >
      {drawn.map(({ edge, state }) => {
        const [from, to] = [x(edge.start.column), x(edge.end.column)];
        const across = edge.end.row * ROW;
        const points = [
          { x: from, y: edge.start.row * ROW + ROW / 2 + 9 },
          ...(from === to
            ? []
            : [
                { x: from, y: across },
                { x: to, y: across },
              ]),
          { x: to, y: edge.end.row * ROW + ROW / 2 - 9 },
        ];
        return (
          <path
            key={`${edge.from}\n${edge.to}`}
            class={`graph-list-lane is-${state}`}
            d={roundedPath(points)}
          />
        );
      })}
    </svg>
  );
}
