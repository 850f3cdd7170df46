import { useMemo } from "preact/hooks";
import type { Task } from "../experiment/tasks";
import { WhyPanel } from "../experiment/WhyPanel";
import { count } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import type { LogEnd, ReportData } from "./data";

const MOST_OPEN = 3; // tasks that are unfolded at first

/** Why tasks failed, wait or were skipped, as `exp why` says it, each with the end of its log. */
export function ReportFailures({ data, picked }: { data: ReportData; picked: string | null }) {
  const byId = useMemo(() => new Map<string, Task>(data.status.tasks.map((task) => [task.id, task])), [data]);
  const logs = new Map(data.logs.map((log) => [log.task, log]));
  const explained = new Set(data.why.tasks.map((task) => task.id));
  const others = data.logs.filter((log) => !explained.has(log.task));
  return (
    <>
      {data.failures.length > 1 || (data.failures[0]?.count ?? 0) > 1 ? (
        <ul class="report-kinds">
          {data.failures.map((kind) => (
            <li key={kind.message}>
              <strong>{count(kind.count)} ×</strong> <code dir="auto">{visibleText(kind.message)}</code>{" "}
              <span class="report-quiet">{named(kind.tasks)}</span>
            </li>
          ))}
        </ul>
      ) : null}
      {data.why.tasks.map((why, index) => (
        <details key={why.id} id={anchor(why.id)} open={index < MOST_OPEN || picked === why.id}>
          <summary>
            <StatusMark status={why.status} />
            <code>{visibleText(why.id)}</code>
            <span class="report-quiet">{why.attempt > 1 ? `attempt ${why.attempt}` : ""}</span>
          </summary>
          <WhyPanel status={data.status} byId={byId} why={why} />
          {logs.has(why.id) ? <LogLines log={logs.get(why.id) as LogEnd} /> : null}
        </details>
      ))}
      {others.map((log) => (
        <details key={log.task} id={anchor(log.task)} open={picked === log.task}>
          <summary>
            <StatusMark status={log.status} />
            <code>{visibleText(log.task)}</code>
          </summary>
          <LogLines log={log} />
        </details>
      ))}
      {data.logs_left_out ? (
        <p class="report-quiet">The logs of {count(data.logs_left_out)} more tasks are not in this report.</p>
      ) : null}
      {data.logs_missing ? <p class="report-quiet">The logs are {data.logs_missing}.</p> : null}
    </>
  );
}

/** Where a task is explained. */
export function anchor(task: string): string {
  return `task ${task}`;
}

const MOST_NAMED = 3;

function named(tasks: readonly string[]): string {
  const more = tasks.length - MOST_NAMED;
  return tasks.slice(0, MOST_NAMED).join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
}

function LogLines({ log }: { log: LogEnd }) {
  const error = log.lines.map((line) => line.trim()).lastIndexOf(log.error ?? "");
  if (!log.lines.length) return <p class="report-log-title">The log of attempt {log.attempt} is empty.</p>;
  return (
    <figure class="report-log">
      <figcaption class="report-log-title">
        {log.lines.length === 1 ? "The last line" : `The last ${count(log.lines.length)} lines`} of the log of
        attempt {log.attempt}
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <pre tabIndex={0} dir="auto">
        {log.lines.map((line, index) => (
          <span key={index} class={index === error ? "is-error" : undefined}>
            {visibleText(line)}
            {"\n"}
          </span>
        ))}
      </pre>
    </figure>
  );
}
