import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import type { WhyDocument } from "../api/documents/why";
import { useDocument } from "../api/useDocument";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { errorHref, taskHref } from "./pick";
import type { Task } from "./tasks";
import { sentence } from "./why";
import "./WhyPanel.css";
import "./WorstFailure.css";

interface WorstProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  readonly task: Task;
}

const MOST = 3; // sentences

/** Why of the worst failure, above the list where there is no room for a panel. */
export function WorstFailure({ experiment, task }: WorstProps) {
  const path = `${experimentDocument(experiment, "why")}?${new URLSearchParams({ task: task.id })}`;
  const topics = [`experiment:${experimentName(experiment)}`];
  const why = useDocument<WhyDocument>(path, topics).document?.tasks[0];
  return (
    <section class={`worst-failure status-${task.status}`} aria-label={`Why ${task.id} is ${task.status}`}>
      <p class="worst-failure-name">
        <StatusMark status={task.status} />
        <span class="mono">{task.id}</span>
        <span class="worst-failure-attempt">
          attempt {task.attempt}
          {why && why.attempts.length > 1 ? ` of ${why.attempts.length}` : ""}
        </span>
      </p>
      {why ? (
        <p>
          {why.causes.slice(0, MOST).map((cause, index) => (
            <span key={cause.message} dir="auto">
              {index ? sentence(cause.message) : <strong>{sentence(cause.message)}</strong>}{" "}
            </span>
          ))}
        </p>
      ) : null}
      {why?.log?.error ? (
        <p>
          <a
            class="worst-failure-error"
            href={errorHref(task.id, why.log)}
            title="To its line in the log"
            dir="auto"
          >
            {visibleText(why.log.error)}
          </a>
        </p>
      ) : null}
      <p>
        <a class="button small" href={taskHref(task.id)}>
          Log and why
        </a>
      </p>
    </section>
  );
}
