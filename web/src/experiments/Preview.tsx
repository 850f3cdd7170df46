import { experimentDocument, experimentHref, experimentName } from "../api/addresses";
import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";
import type { WhyDocument } from "../api/documents/why";
import { useDocument } from "../api/useDocument";
import { navigate } from "../app/route";
import { StatusSentence } from "../experiment/StatusSentence";
import { Graph } from "../graph/Graph";
import { CommandHint } from "../ui/CommandHint";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { ExperimentId } from "./ExperimentRow";
import type { Entry } from "./note";
import "../experiment/ExperimentHead.css";
import "./Preview.css";

const MOST = 4; // failures

/** The picked experiment beside the list: its state, what failed, the graph, and the end of a log. */
export function Preview({ entry, href }: { entry: Entry; href: string }) {
  const { owner = "", home = "", id } = entry;
  const experiment = { owner, home, id };
  const topics = [`experiment:${experimentName(experiment)}`];
  const { document: status, error } = useDocument<StatusDocument>(
    experimentDocument(experiment, "status"),
    topics,
  );
  const graph = useDocument<GraphDocument>(experimentDocument(experiment, "graph")).document;
  const isWell = !entry.counts.FAILED && !entry.counts.UNKNOWN;
  const why = useDocument<WhyDocument>(
    isWell ? null : experimentDocument(experiment, "why"),
    topics,
  ).document;
  const failed = why?.tasks.filter((task) => task.status === "FAILED" || task.status === "UNKNOWN") ?? [];
  const withLog = failed.find((task) => task.log?.lines.length);
  const open = (task: string) => `${experimentHref(experiment)}?${new URLSearchParams({ task })}`;
  return (
    <div class="preview">
      <header class="preview-head">
        <h2 class="preview-id">
          <ExperimentId id={id} />
        </h2>
        <a class="button small" href={href}>
          Open <kbd>Enter</kbd>
        </a>
      </header>
      {error ? <ErrorNote error={error} /> : null}
      {status ? <StatusSentence status={status} hrefOf={open} /> : null}
      {failed.slice(0, MOST).map((task) => (
        <a key={task.id} class={`preview-why status-${task.status}`} href={open(task.id)}>
          <StatusMark status={task.status} />
          <span>
            <b dir="auto">{visibleText(task.id)}</b> {ended(task)}
            {task.log?.error ? <code dir="auto">{visibleText(task.log.error)}</code> : null}
          </span>
        </a>
      ))}
      {failed.length > MOST ? (
        <p class="preview-more">
          <a href={href}>{count(failed.length - MOST)} more failed</a>
        </p>
      ) : null}
      {graph && status ? (
        <section aria-label="Graph">
          <h3>Graph</h3>
          <Graph graph={graph} tasks={status.tasks} picked={null} onPick={(task) => navigate(open(task))} />
        </section>
      ) : null}
      {withLog?.log ? (
        <section aria-label="End of the log">
          <h3>
            End of the log <span class="preview-task">{withLog.id}</span>
          </h3>
          <pre class="preview-log">{visibleText(withLog.log.lines.join("\n"))}</pre>
        </section>
      ) : null}
      <CommandHint command={commandLine("exp", "status", id)} />
    </div>
  );
}

function ended({ status, exit_code, reason, message }: WhyDocument["tasks"][number]): string {
  if (status === "UNKNOWN") return message ?? "is UNKNOWN";
  const code = exit_code === null ? "" : ` with exit code ${exit_code}`;
  const more = reason === "exit" || !message ? "" : `: ${message}`;
  return `failed${code}${more}`;
}
