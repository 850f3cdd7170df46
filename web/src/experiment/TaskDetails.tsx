import { type ExperimentAddress, experimentDocument, recordHref } from "../api/addresses";
import type { ShowDocument } from "../api/documents/show";
import type { StatusDocument } from "../api/documents/status";
import { useDocument } from "../api/useDocument";
import { CopyButton } from "../ui/CopyButton";
import { absolute, duration } from "../ui/format";
import { StatusWord } from "../ui/StatusMark";
import { specOf } from "./attemptSpec";
import { clockTime } from "./facts";
import { taskHref } from "./pick";
import { usageText } from "./resources";
import type { Task } from "./tasks";
import type { WhyTask } from "./why";
import "./TaskDetails.css";

export interface TaskDetailsProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  readonly task: Task;
  readonly why: WhyTask | null;
  readonly attempt: number | null;
}

/** What a task used and returned, its attempts, its command and environment. */
export function TaskDetails({ experiment, status, task, why }: TaskDetailsProps) {
  const show = useDocument<ShowDocument>(experimentDocument(experiment, "show")).document;
  const spec = show ? specOf(show, task.id) : null;
  const outputs = Object.entries(task.outputs as Record<string, unknown>);
  return (
    <div class="task-details">
      <Attempts why={why} />
      <Facts task={task} prefix={status.prefix} />
      {outputs.length ? (
        <section>
          <h3>Outputs</h3>
          <dl class="task-details-list">
            {outputs.map(([name, value]) => (
              <Pair
                key={name}
                name={name}
                value={typeof value === "string" ? value : JSON.stringify(value)}
              />
            ))}
          </dl>
        </section>
      ) : null}
      {spec?.command ? (
        <section>
          <h3>
            {spec.kind} <CopyButton text={spec.command} label="Copy the command" />
          </h3>
          <pre class="task-details-code">{spec.command}</pre>
        </section>
      ) : null}
      {spec?.environment.length ? (
        <section>
          <h3>Environment</h3>
          <dl class="task-details-list">
            {spec.environment.map(([name, value]) => (
              <Pair key={name} name={name} value={value} />
            ))}
          </dl>
        </section>
      ) : null}
      {spec?.rest.length ? (
        <section>
          <h3>Spec</h3>
          <dl class="task-details-list">
            {spec.rest.map(([name, value]) => (
              <Pair key={name} name={name} value={value} />
            ))}
          </dl>
        </section>
      ) : null}
    </div>
  );
}

function Pair({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd dir="auto">{value}</dd>
    </>
  );
}

function Attempts({ why }: { why: WhyTask | null }) {
  if (!why?.attempts.length) return null;
  return (
    <section>
      <h3>Attempts</h3>
      <table class="task-details-attempts">
        <thead>
          <tr>
            <th>Attempt</th>
            <th>Status</th>
            <th>Started</th>
            <th>Duration</th>
            <th>Exit</th>
            <th>Job id</th>
            <th>Used</th>
          </tr>
        </thead>
        <tbody>
          {why.attempts.map((attempt) => (
            <tr key={attempt.attempt}>
              <td>{attempt.attempt}</td>
              <td>
                <StatusWord status={attempt.status} />
              </td>
              <td title={attempt.started ? absolute(attempt.started) : undefined}>
                {attempt.started ? clockTime(attempt.started) : ""}
              </td>
              <td>{attempt.duration === null ? "" : duration(attempt.active ?? attempt.duration)}</td>
              <td>{attempt.exit_code}</td>
              <td class="mono">{attempt.job_id}</td>
              <td>{usageText(attempt.usage)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Facts({ task, prefix }: { task: Task; prefix: string | null }) {
  return (
    <section>
      <h3>Task</h3>
      <dl class="task-details-list">
        {task.directory ? <Pair name="folder" value={task.directory} /> : null}
        {task.evidence ? <Pair name="known by" value={task.evidence} /> : null}
        {task.dependencies.length ? (
          <>
            <dt>depends on</dt>
            <dd>
              {task.dependencies.slice(0, MOST_DEPENDENCIES).map((name) => (
                <a key={name} class="task-details-link" href={taskHref(name)}>
                  {name}
                </a>
              ))}
              {task.dependencies.length > MOST_DEPENDENCIES
                ? `and ${task.dependencies.length - MOST_DEPENDENCIES} more`
                : ""}
            </dd>
          </>
        ) : null}
        {prefix && Object.keys(task.matrix ?? {}).length ? (
          <>
            <dt>record</dt>
            <dd>
              <a class="task-details-link" href={recordHref({ prefix: `${prefix}/${task.id}` })}>
                {prefix}/{task.id}
              </a>
            </dd>
          </>
        ) : null}
      </dl>
    </section>
  );
}

const MOST_DEPENDENCIES = 12;
