import { useMemo, useState } from "preact/hooks";
import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import type { WhyDocument } from "../api/documents/why";
import { useDocument } from "../api/useDocument";
import { useKeys } from "../app/keys";
import { navigate, route, withQuery } from "../app/route";
import { LogViewer } from "../log/LogViewer";
import { CopyButton } from "../ui/CopyButton";
import { ErrorNote } from "../ui/ErrorNote";
import { absolute, count, duration } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { CloseIcon } from "./CloseIcon";
import { pickedAttempt, taskHref } from "./pick";
import { TaskDetails } from "./TaskDetails";
import { TaskDuration } from "./TaskTable";
import { byWeight } from "./taskRows";
import { countsOf, memberLabel, nodeOf, statusOf, type Task } from "./tasks";
import { GroupWhy, isExplained, WhyPanel } from "./WhyPanel";
import type { WhyTask } from "./why";
import "./TaskPanel.css";

export interface TaskPanelProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  readonly timeline: TimelineDocument | null;
  /** The id of a task or a group. */
  readonly picked: string;
  readonly isDriven: boolean;
  /** Whether it covers the view, so that closing it is a way back. */
  readonly isAlone: boolean;
  /** Whether there is room for a second log. */
  readonly canPin: boolean;
}

/** The picked task: why it has its status, its log, and its details. */
export function TaskPanel(props: TaskPanelProps) {
  const { status, picked } = props;
  const byId = useMemo(() => new Map(status.tasks.map((task) => [task.id, task])), [status.tasks]);
  const task = byId.get(picked);
  const members = useMemo(
    () => (task ? [] : status.tasks.filter((each) => nodeOf(each) === picked || each.group === picked)),
    [task, status.tasks, picked],
  );
  useKeys([
    { keys: "Escape", label: "close the panel", group: "One experiment", run: () => navigate(closed()) },
  ]);
  if (task) return <OfTask {...props} task={task} byId={byId} />;
  if (members.length) return <OfGroup {...props} members={members} />;
  return (
    <div class="task-panel">
      <PanelHead isAlone={props.isAlone}>
        <h2 class="task-panel-name">{picked}</h2>
      </PanelHead>
      <p class="task-panel-note">This experiment has no task {picked}.</p>
    </div>
  );
}

function closed(): string {
  return withQuery({ task: "", attempt: null, show: null, line: null });
}

function PanelHead({ isAlone, children }: { isAlone: boolean; children: preact.ComponentChildren }) {
  return (
    <header class="task-panel-head">
      {isAlone ? (
        <a class="button small" href={closed()}>
          ‹ Tasks
        </a>
      ) : null}
      {children}
      {isAlone ? null : (
        <a class="icon-button task-panel-close" href={closed()} title="Close (Esc)">
          <CloseIcon />
          <span class="visually-hidden">Close</span>
        </a>
      )}
    </header>
  );
}

type OfTaskProps = TaskPanelProps & { readonly task: Task; readonly byId: ReadonlyMap<string, Task> };

function OfTask(props: OfTaskProps) {
  const { experiment, status, task, byId, isAlone, isDriven, canPin, timeline } = props;
  const topics = [`experiment:${experimentName(experiment)}`];
  const path = `${experimentDocument(experiment, "why")}?${new URLSearchParams({ task: task.id })}`;
  const { document, error, reload } = useDocument<WhyDocument>(path, topics);
  const why = document?.tasks.find((each) => each.id === task.id) ?? null;
  const times = timeline?.tasks.find((each) => each.id === task.id);
  const attempts = times?.attempts.map((each) => each.attempt) ?? begunAttempts(task);
  const asked = pickedAttempt();
  const attempt = asked !== null && attempts.includes(asked) ? asked : null;
  useKeys([
    { keys: "{", label: "attempt before", group: "One experiment", run: () => step(attempts, attempt, -1) },
    { keys: "}", label: "next attempt", group: "One experiment", run: () => step(attempts, attempt, 1) },
  ]);
  const show = route.value.query.get("show") ?? "log";
  return (
    <div class="task-panel">
      <PanelHead isAlone={isAlone}>
        <StatusMark status={task.status} reason={task.reason} />
        <h2 class="task-panel-name" dir="auto" title={task.id}>
          {task.id}
        </h2>
        <CopyButton text={task.id} label="Copy the task's id" />
        <AttemptSwitch attempts={attempts} picked={attempt} />
        <PanelFacts task={task} why={why} attempt={attempt} isDriven={isDriven} />
      </PanelHead>
      {error ? <ErrorNote error={error} retry={reload} /> : null}
      {why && isExplained(task) ? <WhyPanel status={status} byId={byId} why={why} /> : null}
      <PanelTabs
        streams={times?.streams ?? []}
        show={show}
        task={task}
        canPin={canPin && attempts.length > 0}
        attempt={attempt}
      />
      {show === "details" ? (
        <TaskDetails experiment={experiment} status={status} task={task} why={why} attempt={attempt} />
      ) : (
        <TaskLog experiment={experiment} task={task} attempts={attempts} attempt={attempt} show={show} />
      )}
    </div>
  );
}

/** The numbers of its attempts as its status tells them, before its timeline is there. */
function begunAttempts({ attempt, started }: Task): number[] {
  return Array.from({ length: started === null ? attempt - 1 : attempt }, (_, index) => index + 1);
}

function step(attempts: readonly number[], attempt: number | null, by: number): unknown {
  const present = attempt === null ? attempts.length - 1 : attempts.indexOf(attempt);
  const next = attempts[present + by];
  if (next === undefined) return false;
  navigate(withQuery({ attempt: String(next), line: null }), { replace: true });
}

/** Which attempt is shown, if there are several. */
function AttemptSwitch({ attempts, picked }: { attempts: readonly number[]; picked: number | null }) {
  if (attempts.length < 2) return null;
  const latest = attempts[attempts.length - 1] as number;
  const shown = attempts.length > MOST_SEGMENTS ? attempts.slice(-MOST_SEGMENTS) : attempts;
  return (
    <nav class="segments" aria-label="Attempts">
      {shown.map((number, index) => (
        <a
          key={number}
          href={withQuery({ attempt: number === latest ? null : String(number), line: null })}
          aria-current={number === (picked ?? latest) ? "true" : undefined}
          title="Attempts: { and }"
        >
          {index === 0 ? "Attempt " : <span class="visually-hidden">Attempt </span>}
          {number}
        </a>
      ))}
    </nav>
  );
}

const MOST_SEGMENTS = 6;

interface FactsProps {
  readonly task: Task;
  readonly why: WhyTask | null;
  readonly attempt: number | null;
  readonly isDriven: boolean;
}

/** Duration, exit code, executor and job id of the attempt. */
function PanelFacts({ task, why, attempt, isDriven }: FactsProps) {
  const past = attempt === null ? null : (why?.attempts.find((each) => each.attempt === attempt) ?? null);
  const { exit_code: exit, job_id: job, started } = past ?? task;
  const took = past?.active ?? past?.duration;
  const hasDuration = past ? took !== null : task.duration !== null;
  return (
    <p class="task-panel-facts" title={started ? `started ${absolute(started)}` : undefined}>
      {hasDuration ? (
        <span>{past ? duration(took ?? 0) : <TaskDuration task={task} isDriven={isDriven} />}</span>
      ) : null}
      {exit === null ? null : <span>exit {exit}</span>}
      <span>{task.executor}</span>
      {job ? <span>job {job}</span> : null}
    </p>
  );
}

const STREAMS = [
  { name: "log", label: "Log" },
  { name: "stderr", label: "Standard error" },
  { name: "backend-output", label: "Backend" },
] as const;
type Stream = (typeof STREAMS)[number]["name"];

interface PanelTabsProps {
  readonly show: string;
  readonly streams: readonly string[];
  readonly task: Task;
  readonly canPin: boolean;
  readonly attempt: number | null;
}

function PanelTabs({ show, task, streams, canPin, attempt }: PanelTabsProps) {
  const outputs = Object.keys(task.outputs).length;
  const present = STREAMS.filter((stream) => stream.name === "log" || streams.includes(stream.name));
  const pin = { pin: task.id, pin_attempt: attempt === null ? null : String(attempt) };
  const tabs = [
    ...present,
    {
      name: "details",
      label: outputs ? `Details, ${outputs} ${outputs === 1 ? "output" : "outputs"}` : "Details",
    },
  ];
  return (
    <nav class="task-panel-tabs" aria-label="Of this task">
      {tabs.map(({ name, label }) => (
        <a
          key={name}
          href={withQuery({ show: name === "log" ? null : name, line: null })}
          aria-current={name === show ? "true" : undefined}
        >
          {label}
        </a>
      ))}
      {canPin ? (
        <a
          class="task-panel-pin"
          href={withQuery(pin)}
          title="Keep this log in sight below, and open another"
        >
          Pin
        </a>
      ) : null}
    </nav>
  );
}

interface TaskLogProps {
  readonly experiment: ExperimentAddress;
  readonly task: Task;
  readonly attempts: readonly number[];
  readonly attempt: number | null;
  readonly show: string;
}

function TaskLog({ experiment, task, attempts, attempt, show }: TaskLogProps) {
  if (!attempts.length) {
    return (
      <p class="task-panel-note">{task.status === "SKIPPED" ? "It never ran." : "It has not started yet."}</p>
    );
  }
  const stream = STREAMS.find((each) => each.name === show)?.name ?? "log";
  return (
    <div class="task-panel-log">
      <LogViewer
        key={`${task.id} ${attempt ?? attempts.length} ${stream}`}
        experiment={experiment}
        task={task.id}
        attempt={attempt}
        stream={stream satisfies Stream}
      />
    </div>
  );
}

const MOST_MEMBERS = 60;

function OfGroup({
  experiment,
  status,
  picked,
  members,
  isAlone,
}: TaskPanelProps & { members: readonly Task[] }) {
  const counts = countsOf(members);
  const failed = counts.FAILED ?? 0;
  return (
    <div class="task-panel">
      <PanelHead isAlone={isAlone}>
        <StatusMark status={statusOf(members)} />
        <h2 class="task-panel-name" title={picked}>
          {picked}
        </h2>
        <p class="task-panel-facts">
          {Object.entries(counts).map(([status, number]) => (
            <span key={status}>
              {number} {status}
            </span>
          ))}
        </p>
      </PanelHead>
      {failed ? <GroupFailures key={failed} experiment={experiment} status={status} group={picked} /> : null}
      <p class="task-panel-note">Pick one of its {count(members.length)} members to see its log.</p>
      <ul class="task-panel-members">
        {byWeight(members)
          .slice(0, MOST_MEMBERS)
          .map((member) => (
            <li key={member.id}>
              <a href={taskHref(member.id)} dir="auto">
                <StatusMark status={member.status} reason={member.reason} />
                {memberLabel(member)}
              </a>
            </li>
          ))}
      </ul>
      {members.length > MOST_MEMBERS ? (
        <p class="task-panel-note">The others are rows of the table.</p>
      ) : null}
    </div>
  );
}

/** Asked for once for each number of failures: the logs of all members are read for it. */
function GroupFailures({
  experiment,
  status,
  group,
}: {
  experiment: ExperimentAddress;
  status: StatusDocument;
  group: string;
}) {
  const [path] = useState(
    () => `${experimentDocument(experiment, "why")}?${new URLSearchParams({ task: group })}`,
  );
  const { document, error } = useDocument<WhyDocument>(path);
  if (error) return <ErrorNote error={error} />;
  return document ? <GroupWhy status={status} group={group} failures={document.failures ?? []} /> : null;
}
