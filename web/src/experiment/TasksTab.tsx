import { useMemo, useRef } from "preact/hooks";
import { experimentDocument, experimentName } from "../api/addresses";
import type { GraphDocument } from "../api/documents/graph";
import { useDocument } from "../api/useDocument";
import { useKeys } from "../app/keys";
import { navigate, route, withQuery } from "../app/route";
import { Graph } from "../graph/Graph";
import { GraphList } from "../graph/GraphList";
import { liveState } from "../live/live";
import { clockTime } from "./facts";
import { PanelEdge, usePanelWidth } from "./PanelEdge";
import { PinnedLog } from "./PinnedLog";
import { pickedTask, pinned, taskHref } from "./pick";
import { reasonOf } from "./reason";
import { scaleOf } from "./spans";
import { TaskPanel } from "./TaskPanel";
import { TaskTable } from "./TaskTable";
import { TimelineLegend } from "./Timeline";
import type { TabProps } from "./tabs";
import { isOpenAtFirst, rowsOf } from "./taskRows";
import { type TaskTimes, worst } from "./tasks";
import { type Layout, useLayout } from "./useLayout";
import { useNow } from "./useNow";
import { isExplained } from "./WhyPanel";
import { WorstFailure } from "./WorstFailure";
import "./TasksTab.css";

/** The graph, the table of tasks, and the panel of the picked one. */
export function TasksTab(props: TabProps) {
  const { status } = props;
  const layout = useLayout();
  const first = useRef<string | null>(null);
  first.current ??= worst(status.tasks)?.id ?? null;
  const asked = pickedTask();
  const picked = asked ?? (layout === "narrow" ? null : first.current);
  const isDriven = status.supervisor.state === "alive" && liveState.value.state !== "stale";
  useKeys([
    { keys: "j", label: "next row", group: "Lists and tables", run: () => pressRow("ArrowDown") },
    { keys: "k", label: "row before", group: "Lists and tables", run: () => pressRow("ArrowUp") },
  ]);
  const panel = (isAlone: boolean) =>
    picked ? (
      <TaskPanel
        key={picked}
        experiment={props.experiment}
        status={status}
        timeline={props.timeline ?? null}
        picked={picked}
        isDriven={isDriven}
        isAlone={isAlone}
        canPin={layout === "wide" || layout === "full"}
      />
    ) : null;
  if (layout === "narrow" && picked) return <div class="tasks-alone">{panel(true)}</div>;
  return (
    <Beside {...props} layout={layout} picked={picked} isDriven={isDriven} worst={first.current}>
      {layout === "narrow" ? null : panel(false)}
    </Beside>
  );
}

/** Moves in the table from anywhere on the page. */
function pressRow(key: string): unknown {
  const row = document.querySelector<HTMLElement>(".task-table .task-row[tabindex='0']");
  if (!row) return false;
  if (document.activeElement?.closest(".task-row") !== row) row.focus();
  else row.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}

interface BesideProps extends TabProps {
  readonly layout: Layout;
  readonly picked: string | null;
  readonly isDriven: boolean;
  readonly worst: string | null;
  readonly children: preact.ComponentChildren;
}

function Beside(props: BesideProps) {
  const { layout, children } = props;
  const pin = pinned();
  const canPin = layout === "wide" || layout === "full";
  const hasPanel = Boolean(children) || (canPin && pin !== null);
  const width = usePanelWidth(layout);
  if (layout === "narrow") return <Narrow {...props} />;
  return (
    <div class={`tasks-tab layout-${layout}`}>
      {layout === "full" ? null : <TaskGraph {...props} />}
      <div class="tasks-columns">
        <div class="tasks-main">
          {layout === "full" ? <TaskGraph {...props} /> : null}
          <Tasks {...props} />
        </div>
        {hasPanel ? (
          <aside class="tasks-panel" style={{ width: `${width.value}px` }} aria-label="The picked task">
            <PanelEdge width={width} />
            {children}
            {canPin && pin ? (
              <PinnedLog
                experiment={props.experiment}
                status={props.status}
                isDriven={props.isDriven}
                pin={pin}
              />
            ) : null}
          </aside>
        ) : null}
      </div>
    </div>
  );
}

function useGraph({ experiment }: TabProps): GraphDocument | null {
  return useDocument<GraphDocument>(experimentDocument(experiment, "graph"), [
    `experiment:${experimentName(experiment)}`,
  ]).document;
}

/** Why of the worst failure, then graph and table as one list; a task opens as a page of its own. */
function Narrow(props: BesideProps) {
  const { experiment, status, timeline, isDriven, worst: first } = props;
  const graph = useGraph(props);
  const byId = useMemo(() => new Map(status.tasks.map((task) => [task.id, task])), [status.tasks]);
  const errors = useMemo(
    () => new Map((timeline?.tasks ?? []).map((task) => [task.id, task.error])),
    [timeline],
  );
  const task = first === null ? undefined : byId.get(first);
  const note = (id: string) => {
    const noted = byId.get(id);
    const reason = noted ? reasonOf(noted, byId, errors.get(id) ?? null, isDriven) : "";
    return reason || undefined;
  };
  return (
    <div class="tasks-tab layout-narrow">
      {task && isExplained(task) ? (
        <WorstFailure experiment={experiment} status={status} task={task} />
      ) : null}
      {graph ? (
        <GraphList
          graph={graph}
          tasks={status.tasks}
          picked={first}
          note={note}
          onPick={(id) => navigate(taskHref(id))}
        />
      ) : null}
    </div>
  );
}

function TaskGraph(props: BesideProps) {
  const { status, picked } = props;
  const graph = useGraph(props);
  if (!graph || graph.nodes.length < 2) return null;
  return (
    <div class="tasks-graph">
      <Graph graph={graph} tasks={status.tasks} picked={picked} onPick={(task) => navigate(taskHref(task))} />
    </div>
  );
}

const MOST_MEMBERS = { narrow: 6, middle: 9, wide: 9, full: 18 } as const;
const REDRAWN = 400; // parts of the width that the “now” line moves by

function Tasks({ status, timeline, layout, picked, isDriven }: BesideProps) {
  const first = useRef(new Map<string, boolean>());
  const { query } = route.value;
  const asked = query.getAll("open").join("\n");
  const folded = query.getAll("folded").join("\n");
  const all = query.getAll("all").join("\n");
  const rows = useMemo(() => {
    const sweeps = new Set((status.sweeps ?? []).map((sweep) => sweep.id));
    return rowsOf(
      status.tasks,
      status.sweeps ?? [],
      (group, members) => {
        if (all.split("\n").includes(group)) return "all";
        if (asked.split("\n").includes(group)) return "open";
        if (folded.split("\n").includes(group)) return "closed";
        let isOpen = first.current.get(group);
        if (!isOpen && members.some((member) => member.id === picked)) isOpen = true; // its row is in sight
        isOpen ??= isOpenAtFirst(members, sweeps.has(group));
        first.current.set(group, isOpen);
        return isOpen ? "open" : "closed";
      },
      MOST_MEMBERS[layout],
      picked,
    );
  }, [status, asked, folded, all, layout, picked]);
  const times = useMemo(
    () => new Map<string, TaskTimes>((timeline?.tasks ?? []).map((task) => [task.id, task])),
    [timeline],
  );
  const scale = useScale({ status, timeline: timeline ?? null, isDriven });
  const fold = (group: string, to: "closed" | "open" | "all") => {
    const without = (name: string) => query.getAll(name).filter((each) => each !== group);
    const changes = { open: without("open"), folded: without("folded"), all: without("all") };
    changes[to === "closed" ? "folded" : to].push(group);
    navigate(withQuery(changes), { replace: true });
  };
  return (
    <div class="tasks-table">
      <TaskTable
        rows={rows}
        tasks={status.tasks}
        times={times}
        scale={scale}
        picked={picked}
        isDriven={isDriven}
        onFold={fold}
      />
      <footer class="tasks-foot">
        <TimelineLegend started={status.started ? clockTime(status.started) : null} />
      </footer>
    </div>
  );
}

/** The scale of the timeline, whose end is now by the clock of the server, or when it was last heard of. */
function useScale({
  status,
  timeline,
  isDriven,
}: {
  status: TabProps["status"];
  timeline: TabProps["timeline"];
  isDriven: boolean;
}) {
  const received = useRef({ timeline, time: Date.now() });
  if (received.current.timeline !== timeline) received.current = { timeline, time: Date.now() };
  const began = status.started ? Date.parse(status.started) : null;
  const isOver = status.ended !== null;
  const span = began === null ? 0 : Date.now() - began;
  const every =
    isDriven && !isOver ? Math.max(1_000, 2 ** Math.ceil(Math.log2(Math.max(1, span / REDRAWN)))) : null;
  const now = useNow(every);
  return useMemo(() => {
    if (!timeline) return null;
    const passed = every === null ? 0 : Math.max(0, now - received.current.time);
    const seen = Date.parse(timeline.seen) + passed - (status.heard ? status.heard.age * 1_000 : 0);
    return scaleOf(timeline.tasks, status.started, isOver || status.status === "INTERRUPTED" ? null : seen);
  }, [timeline, status, now, every, isOver]);
}
