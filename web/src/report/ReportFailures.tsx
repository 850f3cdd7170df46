import { useMemo } from "preact/hooks";
import type { Task } from "../experiment/tasks";
import { WhyPanel } from "../experiment/WhyPanel";
import { reasonsOf } from "../experiment/why";
import { LogLines } from "../log/LogLines";
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
        <details
          key={why.id}
          id={anchor(why.id)}
          open={(index < MOST_OPEN && isTrouble(why.status)) || picked === why.id}
        >
          <summary>
            <StatusMark status={why.status} />
            <code>{visibleText(why.id)}</code>
            {why.attempt > 1 ? <span class="report-quiet">attempt {why.attempt}</span> : null}
            <span class="report-quiet report-reason" dir="auto">
              {visibleText(why.log?.error ?? reasonsOf(why, byId)[0]?.text ?? "")}
            </span>
          </summary>
          <WhyPanel status={data.status} byId={byId} why={why} />
          {logs.has(why.id) ? <EndOfLog log={logs.get(why.id) as LogEnd} /> : null}
        </details>
      ))}
      {others.map((log) => (
        <details key={log.task} id={anchor(log.task)} open={picked === log.task}>
          <summary>
            <StatusMark status={log.status} />
            <code>{visibleText(log.task)}</code>
          </summary>
          <EndOfLog log={log} />
        </details>
      ))}
      {data.logs_left_out ? (
        <p class="report-quiet">The logs of {count(data.logs_left_out)} more tasks are not in this report.</p>
      ) : null}
      {data.logs_missing ? <p class="report-quiet">The logs are {data.logs_missing}.</p> : null}
    </>
  );
}

function isTrouble(status: string): boolean {
  return status === "FAILED" || status === "UNKNOWN" || status === "INTERRUPTED";
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

/** Where the end of the log of a task is. */
export function logAnchor(task: string): string {
  return `log ${task}`;
}

function EndOfLog({ log }: { log: LogEnd }) {
  const what = `${log.stream === "stderr" ? "standard error" : "the log"} of attempt ${log.attempt}`;
  if (log.problem)
    return (
      <p class="report-log-title">
        The end of {what} is not here: {log.problem}.
      </p>
    );
  if (!log.text) return <p class="report-log-title">Nothing was written to {what}.</p>;
  const lines = log.text.split("\n").length;
  const first = log.first ?? 1;
  return (
    <figure class="report-log" id={logAnchor(log.task)}>
      <figcaption class="report-log-title">
        {log.first === 1 ? "All" : lines === 1 ? "The last line" : `The last ${count(lines)} lines`} of {what}
      </figcaption>
      <LogLines
        text={log.text}
        first={log.first}
        error={log.error === null ? null : first + log.error}
        label={`Log of ${visibleText(log.task)}`}
      />
    </figure>
  );
}
