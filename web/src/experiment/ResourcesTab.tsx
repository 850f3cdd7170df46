import { useMemo } from "preact/hooks";
import { route, withQuery } from "../app/route";
import { EmptyState } from "../ui/EmptyState";
import { bytes, count } from "../ui/format";
import { StatusWord } from "../ui/StatusMark";
import { taskHref } from "./pick";
import { busy, seconds } from "./resources";
import { TaskDuration } from "./TaskTable";
import type { TabProps } from "./tabs";
import type { Task } from "./tasks";
import "./ResourcesTab.css";

interface Column {
  readonly name: string;
  readonly label: string;
  /** What it sorts by; the largest is first. */
  readonly value: (task: Task) => number | null;
  readonly text: (value: number) => string;
}

const COLUMNS: readonly Column[] = [
  { name: "elapsed", label: "Duration", value: (task) => task.active ?? task.duration, text: seconds },
  { name: "cpu", label: "CPU time", value: (task) => task.usage?.cpu ?? null, text: seconds },
  { name: "busy", label: "CPUs busy", value: busy, text: (value) => value.toFixed(value < 10 ? 2 : 1) },
  { name: "cpus", label: "CPUs requested", value: (task) => task.resources?.cpus ?? null, text: count },
  { name: "memory", label: "Peak memory", value: (task) => task.usage?.memory ?? null, text: bytes },
  {
    name: "asked",
    label: "Memory requested",
    value: (task) => task.resources?.memory ?? null,
    text: bytes,
  },
  { name: "gpu", label: "Peak GPU memory", value: (task) => task.usage?.gpu_memory ?? null, text: bytes },
  { name: "gpus", label: "GPUs requested", value: (task) => task.resources?.gpus ?? null, text: count },
];

/** What each task requested and used; columns in which nothing is known are left out. */
export function ResourcesTab({ status, timeline }: TabProps) {
  const columns = useMemo(
    () => COLUMNS.filter((column) => status.tasks.some((task) => column.value(task) !== null)),
    [status],
  );
  const sort = route.value.query.get("by");
  const rows = useMemo(() => sorted(status.tasks, columns, sort), [status, columns, sort]);
  if (!rows.length) {
    return <EmptyState>Nothing was measured yet: a task's resources are known when it has ended.</EmptyState>;
  }
  return (
    <div class="resources-tab">
      <p class="resources-note">
        Of the latest attempt of each task. CPU time is that of all its processes; memory is the peak, of a
        local task that of its largest process.{" "}
        {timeline?.records ? (
          <>
            With <code>{"tracking: {system: 30s}"}</code> in the spec,{" "}
            <a class="resources-link" href={withQuery({ tab: "curves" })}>
              the curves
            </a>{" "}
            also have <code>system</code>: CPU, memory and GPUs over time.
          </>
        ) : null}
      </p>
      <div class="resources-scroll">
        <table class="resources-table">
          <thead>
            <tr>
              <th aria-sort={sort === null ? "ascending" : undefined}>
                <a href={withQuery({ by: null })}>Task</a>
              </th>
              <th>Status</th>
              {columns.map((column) => (
                <th
                  key={column.name}
                  class="resources-number"
                  aria-sort={sort === column.name ? "descending" : undefined}
                >
                  <a href={withQuery({ by: column.name })}>
                    {column.label}
                    {sort === column.name ? " ↓" : ""}
                  </a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((task) => (
              <ResourceRow
                key={task.id}
                task={task}
                columns={columns}
                isAlive={status.supervisor.state === "alive"}
              />
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function sorted(tasks: readonly Task[], columns: readonly Column[], sort: string | null): Task[] {
  const known = tasks.filter((task) => task.usage || task.duration !== null);
  const by = columns.find((column) => column.name === sort);
  if (!by) return known;
  return [...known].sort((one, other) => (by.value(other) ?? -1) - (by.value(one) ?? -1));
}

function ResourceRow({
  task,
  columns,
  isAlive,
}: {
  task: Task;
  columns: readonly Column[];
  isAlive: boolean;
}) {
  return (
    <tr>
      <td class="resources-task">
        <a href={taskHref(task.id)}>{task.id}</a>
      </td>
      <td>
        <StatusWord status={task.status} />
      </td>
      {columns.map((column) => {
        const value = column.value(task);
        return (
          <td key={column.name} class="resources-number">
            {column.name === "elapsed" && task.status === "RUNNING" ? (
              <TaskDuration task={task} isDriven={isAlive} />
            ) : value === null ? (
              ""
            ) : (
              column.text(value)
            )}
          </td>
        );
      })}
    </tr>
  );
}
