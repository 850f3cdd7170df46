import type { StatusDocument } from "../api/documents/status";
import type { WhyDocument } from "../api/documents/why";
import { CommandHint } from "../ui/CommandHint";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import { visibleText } from "../ui/visibleText";
import { errorHref, taskHref } from "./pick";
import { nodesOf, stoppedBy, type Task } from "./tasks";
import { around, type Reason, reasonsOf, resumption, sentence, type WhyTask } from "./why";
import "./WhyPanel.css";

export interface WhyPanelProps {
  readonly status: StatusDocument;
  readonly byId: ReadonlyMap<string, Task>;
  readonly why: WhyTask;
}

const MOST_REASONS = 6;
const MOST_STOPPED = 8;
const SHORT = 60; // characters; a longer reason has lines of its own

/** Why a task has its status, as `exp why` says it; what it stopped; and what a resume would do. */
export function WhyPanel({ status, byId, why }: WhyPanelProps) {
  const reasons = reasonsOf(why, byId);
  const shown = reasons.slice(0, MOST_REASONS);
  const together = shown.filter((reason, index) => index === 0 || reason.text.length <= SHORT);
  const line = why.failed_line?.text ?? null;
  const task = byId.get(why.id);
  const stopped = task && why.status !== "SKIPPED" ? nodesOf(stoppedBy([task], status.tasks)) : [];
  const resumed = resumption(why, status.supervisor.state === "alive");
  return (
    <section class={`why-panel status-${why.status}`} aria-label={`Why ${why.id} is ${why.status}`}>
      <p>
        {together.map((reason, index) => (
          <ReasonText key={reason.key} reason={reason} line={line} isFirst={index === 0} />
        ))}
        {reasons.length > MOST_REASONS ? `And ${count(reasons.length - MOST_REASONS)} more reasons.` : null}
      </p>
      {shown
        .filter((reason) => !together.includes(reason))
        .map((reason) => (
          <p key={reason.key}>
            <Linked text={reason.text} name={reason.named} line={line} />
          </p>
        ))}
      {why.chain.map((cause) => (
        <p key={cause.message}>
          <Linked text={sentence(`because ${cause.message}`)} name={cause.task} />
        </p>
      ))}
      {why.log?.error ? (
        <p>
          Likely cause:{" "}
          <a class="why-error" href={errorHref(why.id, why.log)} title="To its line in the log" dir="auto">
            {visibleText(why.log.error)}
          </a>
        </p>
      ) : null}
      {stopped.length ? <Stopped nodes={stopped} /> : null}
      {resumed ? (
        <p>
          <code>{commandLine("exp", "resume", status.id)}</code>
          {sentence(resumed)}
        </p>
      ) : null}
      <CommandHint command={commandLine("exp", "why", status.id, why.id)} />
    </section>
  );
}

function ReasonText({ reason, line, isFirst }: { reason: Reason; line: string | null; isFirst: boolean }) {
  const text = <Linked text={reason.text} name={reason.named} line={line} />;
  return <>{isFirst ? <strong>{text}</strong> : text} </>;
}

interface LinkedProps {
  readonly text: string;
  /** A task, whose first mention in the text is a link to it. */
  readonly name: string | null;
  /** A line of the spec, which is shown as such where the text quotes it. */
  readonly line?: string | null;
}

function Linked({ text, name, line = null }: LinkedProps) {
  const isQuoted = line !== null && text.includes(line);
  const [before, part, after] = around(text, isQuoted ? line : name);
  return (
    <span dir="auto">
      {before}
      {part && isQuoted ? <code>{part}</code> : null}
      {part && !isQuoted ? (
        <a class="why-link" href={taskHref(part)}>
          {part}
        </a>
      ) : null}
      {after}
    </span>
  );
}

function Stopped({ nodes }: { nodes: readonly string[] }) {
  const shown = nodes.slice(0, MOST_STOPPED);
  const more = nodes.length - shown.length;
  return (
    <p>
      Because of it{" "}
      {shown.map((node, index) => (
        <span key={node}>
          {index === 0 ? "" : index === nodes.length - 1 ? " and " : ", "}
          <a class="why-link" href={taskHref(node)}>
            {node}
          </a>
        </span>
      ))}
      {more ? ` and ${count(more)} more` : ""} {nodes.length === 1 ? "was" : "were"} skipped.
    </p>
  );
}

/** What failed in a group, by cause; nothing without failures. */
export function GroupWhy({
  status,
  group,
  failures,
}: {
  status: StatusDocument;
  group: string;
  failures: NonNullable<WhyDocument["failures"]>;
}) {
  if (!failures.length) return null;
  return (
    <section class="why-panel status-FAILED" aria-label={`What failed in ${group}`}>
      <ul class="why-failures">
        {failures.map((failure) => (
          <li key={failure.message}>
            <strong>{count(failure.count)} ×</strong>{" "}
            <code class="why-error" dir="auto">
              {visibleText(failure.message)}
            </code>{" "}
            {failure.tasks.slice(0, MOST_EXAMPLES).map((task) => (
              <a key={task} class="why-link" href={taskHref(task)}>
                {task.slice(group.length + 1)}
              </a>
            ))}
            {failure.tasks.length > MOST_EXAMPLES
              ? ` and ${count(failure.tasks.length - MOST_EXAMPLES)} more`
              : ""}
          </li>
        ))}
      </ul>
      <CommandHint command={commandLine("exp", "why", status.id, group)} />
    </section>
  );
}

const MOST_EXAMPLES = 3;

/** Whether there is something to explain: a task that ran well needs no panel. */
export function isExplained(task: Task): boolean {
  return task.status !== "SUCCEEDED" && task.status !== "RUNNING";
}
