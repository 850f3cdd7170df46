import { useMemo, useState } from "preact/hooks";
import { clockTime } from "../experiment/facts";
import { scaleOf } from "../experiment/spans";
import { TaskTable } from "../experiment/TaskTable";
import { TimelineLegend } from "../experiment/Timeline";
import { isOpenAtFirst, rowsOf } from "../experiment/taskRows";
import "../experiment/TasksTab.css";
import type { ReportData } from "./data";

const MOST_MEMBERS = 12; // of an unfolded group, unless all are asked for

/** The table of tasks with its timeline, as on the page of an experiment. */
export function ReportTasks({ data, picked }: { data: ReportData; picked: string | null }) {
  const { status, timeline } = data;
  const [folds, setFolds] = useState<ReadonlyMap<string, "closed" | "open" | "all">>(new Map());
  const sweeps = status.sweeps ?? [];
  const rows = useMemo(() => {
    const names = new Set(sweeps.map((sweep) => sweep.id));
    return rowsOf(
      status.tasks,
      sweeps,
      (group, members) => folds.get(group) ?? (isOpenAtFirst(members, names.has(group)) ? "open" : "closed"),
      MOST_MEMBERS,
    );
  }, [status, folds, sweeps]);
  const times = useMemo(() => new Map(timeline.tasks.map((task) => [task.id, task])), [timeline]);
  const end = status.ended === null ? Date.parse(timeline.seen) : null;
  const scale = useMemo(() => scaleOf(timeline.tasks, status.started, end), [timeline, status, end]);
  return (
    <div class="tasks-table report-tasks" style={{ "--rows": `${rows.length}` }}>
      <TaskTable
        rows={rows}
        tasks={status.tasks}
        times={times}
        scale={scale}
        picked={picked}
        isDriven={status.supervisor.state === "alive"}
        isFixed
        onFold={(group, to) => setFolds(new Map([...folds, [group, to]]))}
      />
      <footer class="tasks-foot">
        <TimelineLegend started={status.started ? clockTime(status.started) : null} />
      </footer>
    </div>
  );
}
