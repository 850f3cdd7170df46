import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { navigate } from "../app/route";
import { now } from "../ui/clock";
import { absolute, count, duration } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { taskHref } from "./pick";
import { reasonOf } from "./reason";
import type { Scale } from "./spans";
import { GroupTimeline, TaskTimeline, TimelineGrid, TimelineHead } from "./Timeline";
import { groupCounts, type Row } from "./taskRows";
import { countsOf, memberLabel, type Task, type TaskTimes } from "./tasks";
import "./TaskTable.css";

export interface TaskTableProps {
  readonly rows: readonly Row[];
  readonly tasks: readonly Task[];
  readonly times: ReadonlyMap<string, TaskTimes>;
  readonly scale: Scale | null;
  readonly picked: string | null;
  /** Whether durations of what runs are counted on: it is driven here, and the page is live. */
  readonly isDriven: boolean;
  /** Whether it shows a moment that has passed, so that nothing is counted on. */
  readonly isFixed?: boolean;
  /** Unfolds or folds a group; `all` for each of its members. */
  onFold(group: string, to: "closed" | "open" | "all"): void;
}

const ROW = 28; // pixels
const WINDOWED = 300; // rows above which only those near the visible part are drawn
const AROUND = 20; // rows drawn above and below it

/** The tasks as in `exp status`, groups folded, with the timeline as the last column. */
export function TaskTable(props: TaskTableProps) {
  const { rows, picked, scale } = props;
  const table = useRef<HTMLDivElement>(null);
  const byId = useMemo(() => new Map(props.tasks.map((task) => [task.id, task])), [props.tasks]);
  const [focused, setFocused] = useState<string | null>(null);
  const current =
    rows.find((row) => row.key === focused) ?? rows.find((row) => row.key === picked) ?? rows[0];
  const visible = useVisible(table, rows.length);
  const shown = rows.slice(visible.first, visible.end);

  const latest = useRef(current); // of keys that follow each other faster than the table is drawn
  latest.current = current;
  const focus = (index: number) => {
    const row = rows[Math.min(rows.length - 1, Math.max(0, index))];
    if (!row) return;
    latest.current = row;
    setFocused(row.key);
    reveal(table.current, rows.indexOf(row));
    const element = () => table.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(row.key)}"]`);
    const present = element();
    if (present) present.focus();
    else requestAnimationFrame(() => element()?.focus());
  };
  const press = (event: KeyboardEvent) => {
    const row = latest.current;
    if (event.altKey || event.ctrlKey || event.metaKey || !row) return;
    const act = keysOf(row, rows.indexOf(row), rows, props, focus)[event.key];
    if (act && act() !== false) event.preventDefault();
  };
  return (
    <div class="task-table" ref={table}>
      {scale ? (
        <div class="task-table-grid">
          <TimelineGrid scale={scale} />
        </div>
      ) : null}
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a table whose rows are a tree */}
      <table role="treegrid" aria-label="Tasks" aria-rowcount={rows.length + 1} onKeyDown={press}>
        <thead>
          <tr>
            <th class="col-task">Task</th>
            <th class="col-status">Status</th>
            <th class="col-executor">Executor</th>
            <th class="col-job">Job id</th>
            <th class="col-attempt">Attempt</th>
            <th class="col-duration">Duration</th>
            <th class="col-exit">Exit</th>
            <th class="col-timeline">
              <span class="visually-hidden">Timeline</span>
              {scale ? <TimelineHead scale={scale} /> : null}
            </th>
          </tr>
        </thead>
        <tbody>
          {visible.first ? <Spacer rows={visible.first} /> : null}
          {shown.map((row, index) => (
            <TableRow
              key={row.key}
              {...props}
              row={row}
              byId={byId}
              index={visible.first + index}
              isPicked={row.key === picked}
              isTabStop={row === current}
            />
          ))}
          {visible.end < rows.length ? <Spacer rows={rows.length - visible.end} /> : null}
        </tbody>
      </table>
    </div>
  );
}

function Spacer({ rows }: { rows: number }) {
  return (
    <tr>
      <td style={{ height: `${rows * ROW}px`, padding: 0 }} />
    </tr>
  );
}

function reveal(container: HTMLElement | null, index: number): void {
  if (!container) return;
  const top = index * ROW;
  const height = container.clientHeight - 32;
  if (top < container.scrollTop) container.scrollTop = top;
  else if (top + ROW > container.scrollTop + height) container.scrollTop = top + ROW - height;
}

/** Which rows are drawn: all of them unless there are very many. */
function useVisible(container: { current: HTMLElement | null }, total: number) {
  const [first, setFirst] = useState(0);
  const isPrinted = useIsPrinted();
  const isWindowed = total > WINDOWED && !isPrinted;
  useEffect(() => {
    const element = container.current;
    if (!element || !isWindowed) return;
    const look = () => setFirst(Math.max(0, Math.floor(element.scrollTop / ROW / AROUND) * AROUND - AROUND));
    element.addEventListener("scroll", look, { passive: true });
    look();
    return () => element.removeEventListener("scroll", look);
  }, [isWindowed]);
  if (!isWindowed) return { first: 0, end: total };
  const seen = Math.ceil((container.current?.clientHeight || 900) / ROW);
  return { first: Math.min(first, total), end: Math.min(total, first + seen + 3 * AROUND) };
}

/** Whether the page is being printed: then all of it is drawn. */
function useIsPrinted(): boolean {
  const [isPrinted, setPrinted] = useState(false);
  useEffect(() => {
    const begin = () => setPrinted(true);
    const end = () => setPrinted(false);
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
    return () => {
      removeEventListener("beforeprint", begin);
      removeEventListener("afterprint", end);
    };
  }, []);
  return isPrinted;
}

function keysOf(
  row: Row,
  index: number,
  rows: readonly Row[],
  { onFold }: TaskTableProps,
  focus: (index: number) => void,
): Record<string, () => unknown> {
  const move = (by: number) => () => focus(index + by);
  const parent = () => {
    for (let above = index - 1; above >= 0; above -= 1)
      if (rows[above]?.kind === "group") return focus(above);
  };
  return {
    ArrowDown: move(1),
    ArrowUp: move(-1),
    Home: move(-index),
    End: move(rows.length),
    Enter: () => (row.kind === "more" ? onFold(row.group, "all") : navigate(taskHref(row.key))),
    " ": () => (row.kind === "group" ? onFold(row.key, row.isOpen ? "closed" : "open") : false),
    ArrowRight: () => {
      if (row.kind === "group") return row.isOpen ? focus(index + 1) : onFold(row.key, "open");
      if (row.kind === "more") return onFold(row.group, "all");
    },
    ArrowLeft: () => {
      if (row.kind === "group" && row.isOpen) return onFold(row.key, "closed");
      if (row.kind === "more" || (row.kind === "task" && row.level === 2)) return parent();
    },
  };
}

interface RowProps extends TaskTableProps {
  readonly row: Row;
  readonly index: number;
  readonly byId: ReadonlyMap<string, Task>;
  readonly isPicked: boolean;
  readonly isTabStop: boolean;
}

function TableRow(props: RowProps) {
  const { row, index, isPicked, isTabStop } = props;
  const level = row.kind === "group" ? 1 : row.kind === "more" ? 2 : row.level;
  return (
    <tr
      class={`task-row level-${level}`}
      data-row={row.key}
      aria-rowindex={index + 2}
      aria-level={level}
      aria-selected={isPicked}
      aria-expanded={row.kind === "group" ? row.isOpen : undefined}
      tabIndex={isTabStop ? 0 : -1}
    >
      {row.kind === "task" ? <TaskCells {...props} task={row.task} level={row.level} /> : null}
      {row.kind === "group" ? <GroupCells {...props} group={row} /> : null}
      {row.kind === "more" ? <MoreCells {...props} more={row} /> : null}
    </tr>
  );
}

function TaskCells(props: RowProps & { task: Task; level: 1 | 2 }) {
  const { task, level, times, byId, scale, isDriven, isFixed = false } = props;
  const known = times.get(task.id);
  const reason = reasonOf(task, byId, known?.error ?? null, isDriven);
  const hasRun = task.started !== null || task.job_id !== null || task.exit_code !== null;
  const label = level === 2 ? memberLabel(task) : task.id;
  return (
    <>
      <td class="col-task">
        <span class="task-cell">
          <StatusMark status={task.status} reason={task.reason} />
          <TaskLink id={task.id} label={label} />
        </span>
      </td>
      <td class="col-status">
        <span class="status-cell">
          <span class={`task-status status-${task.status}`}>{task.status}</span>
          {reason ? (
            <span class="task-reason" dir="auto" title={reason}>
              {task.status === "FAILED" ? "" : "· "}
              {reason}
            </span>
          ) : null}
        </span>
      </td>
      <td class="col-executor">{task.executor}</td>
      <td class="col-job" title={task.job_id ?? undefined}>
        {task.job_id}
      </td>
      <td class="col-attempt">{hasRun ? task.attempt : ""}</td>
      <td class="col-duration" title={task.started ? absolute(task.started) : undefined}>
        <TaskDuration task={task} isDriven={isDriven && !isFixed} />
      </td>
      <td class={task.exit_code ? "col-exit bad" : "col-exit"}>{task.exit_code}</td>
      <td class="col-timeline">{known && scale ? <TaskTimeline task={known} scale={scale} /> : null}</td>
    </>
  );
}

/** The name of a task or group; the link covers its row, and its middle is cut if it does not fit. */
function TaskLink({ id, label }: { id: string; label: string }) {
  const cut = Math.max(0, label.length - KEPT_END);
  return (
    <a class="task-link" href={taskHref(id)} tabIndex={-1} title={label} dir="auto">
      <span class="task-link-begin">{label.slice(0, cut)}</span>
      <span class="task-link-end">{label.slice(cut)}</span>
    </a>
  );
}

const KEPT_END = 10; // characters

/** How long a task has run; it is counted on while it runs, if its supervisor lives. */
export function TaskDuration({ task, isDriven }: { task: Task; isDriven: boolean }) {
  const received = useRef({ task, time: Date.now() });
  if (received.current.task !== task) received.current = { task, time: Date.now() };
  const seconds = task.active ?? task.duration;
  if (seconds === null || seconds === undefined) return null;
  const isCounted = isDriven && task.status === "RUNNING";
  const passed = isCounted ? Math.max(0, (now.value - received.current.time) / 1_000) : 0;
  return <>{duration(seconds + passed)}</>;
}

function GroupCells({ group, times, scale, onFold }: RowProps & { group: Extract<Row, { kind: "group" }> }) {
  const { done, others } = groupCounts(group.members);
  const left = group.sweep?.seconds_left ?? 0;
  const known = useMemo(
    () => group.members.flatMap((member) => times.get(member.id) ?? []),
    [group.members, times],
  );
  return (
    <>
      <td class="col-task">
        <span class="task-cell">
          <button
            type="button"
            class="task-fold"
            tabIndex={-1}
            aria-label={`${group.isOpen ? "Fold" : "Unfold"} ${group.key}`}
            onClick={() => onFold(group.key, group.isOpen ? "closed" : "open")}
          >
            <svg
              viewBox="0 0 12 12"
              width="10"
              height="10"
              aria-hidden="true"
              fill="none"
              stroke="currentColor"
            >
              <path d={group.isOpen ? "M2 4l4 4 4-4" : "M4 2l4 4-4 4"} stroke-width="1.5" />
            </svg>
          </button>
          <StatusMark status={group.status} />
          <TaskLink id={group.key} label={group.key} />
          <span class="task-times">×{count(group.members.length)}</span>
        </span>
      </td>
      <td class="col-status">
        <span class="status-cell">
          <span class="task-status">{done}</span>
          {others.map(([status, number]) => (
            <span key={status} class={`task-count status-${status}`}>
              · {count(number)} {status.toLowerCase()}
            </span>
          ))}
          {left >= 1 ? <span class="task-reason">· ~{duration(left)} left</span> : null}
        </span>
      </td>
      <Empty />
      <td class="col-timeline">{scale ? <GroupTimeline tasks={known} scale={scale} /> : null}</td>
    </>
  );
}

function MoreCells({ more, onFold }: RowProps & { more: Extract<Row, { kind: "more" }> }) {
  const counts = Object.entries(countsOf(more.members));
  return (
    <>
      <td class="col-task">
        <span class="task-cell">
          <button type="button" class="task-more" tabIndex={-1} onClick={() => onFold(more.group, "all")}>
            {count(more.members.length)} more members
          </button>
        </span>
      </td>
      <td class="col-status">
        <span class="status-cell">
          {counts.map(([status, number]) => (
            <span key={status} class="task-count-mark" title={`${number} ${status}`}>
              <StatusMark status={status} size={12} /> {count(number)}
            </span>
          ))}
        </span>
      </td>
      <Empty />
      <td class="col-timeline" />
    </>
  );
}

function Empty(): ComponentChildren {
  return ["executor", "job", "attempt", "duration", "exit"].map((name) => (
    <td key={name} class={`col-${name}`} />
  ));
}
