import { experimentDocument, experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { useDocument } from "../api/useDocument";
import { CommandHint } from "../ui/CommandHint";
import { commandLine } from "../ui/quoting";
import { StatusWord } from "../ui/StatusMark";
import { ExperimentId } from "./ExperimentRow";
import type { Entry } from "./note";
import "./Preview.css";

/** The picked experiment beside the list: its state, what failed, the graph, and the end of a log. */
export function Preview({ entry, href }: { entry: Entry; href: string }) {
  const { owner = "", home = "", id } = entry;
  const experiment = { owner, home, id };
  const { document } = useDocument<StatusDocument>(experimentDocument(experiment, "status"), [
    `experiment:${experimentName(experiment)}`,
  ]);
  return (
    <>
      <header class="preview-head">
        <StatusWord status={document?.status ?? entry.status ?? "UNREADABLE"} />
        <a class="button small" href={href}>
          Open
        </a>
        <kbd>Enter</kbd>
      </header>
      <h2 class="preview-id">
        <ExperimentId id={id} />
      </h2>
      <CommandHint command={commandLine("exp", "status", id)} />
    </>
  );
}
