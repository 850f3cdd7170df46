import { ExperimentActions } from "../actions/ExperimentActions";
import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { useDocument } from "../api/useDocument";
import { route, withQuery } from "../app/route";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { StatusWord } from "../ui/StatusMark";
import { TABS } from "./tabs";
import "./ExperimentPage.css";

/** One experiment: its state, and the tabs. */
export function ExperimentPage() {
  const [, owner = "", home = "", id = ""] = route.value.path;
  const experiment = { owner, home, id };
  return <Shown key={experimentName(experiment)} experiment={experiment} />;
}

function Shown({ experiment }: { experiment: ExperimentAddress }) {
  const { document, error, reload } = useDocument<StatusDocument>(experimentDocument(experiment, "status"), [
    `experiment:${experimentName(experiment)}`,
  ]);
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const picked = TABS.find((tab) => tab.name === route.value.query.get("tab")) ?? TABS[0];
  return (
    <>
      <header class="experiment-head">
        <h1>{document.id}</h1>
        <StatusWord status={document.status} />
        <ExperimentActions experiment={experiment} status={document} />
      </header>
      <nav class="tabs">
        {TABS.map((tab) => (
          <a
            key={tab.name}
            href={withQuery({ tab: tab.name })}
            aria-current={tab === picked ? "page" : undefined}
          >
            {tab.label}
          </a>
        ))}
      </nav>
      {picked ? <Part load={picked.load} experiment={experiment} status={document} /> : null}
    </>
  );
}
