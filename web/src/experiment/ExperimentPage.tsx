import { useMemo } from "preact/hooks";
import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import { useDocument } from "../api/useDocument";
import { route, withQuery } from "../app/route";
import { loadLog } from "../log/LogViewer";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { ExperimentHead } from "./ExperimentHead";
import { shownTabs, TABS, type Tab } from "./tabs";
import "./ExperimentPage.css";

/** One experiment: its state, and the tabs. */
export function ExperimentPage() {
  const [, owner = "", home = "", id = ""] = route.value.path;
  const experiment = { owner, home, id };
  return <Shown key={experimentName(experiment)} experiment={experiment} />;
}

function Shown({ experiment }: { experiment: ExperimentAddress }) {
  useMemo(loadAhead, []);
  const topics = [`experiment:${experimentName(experiment)}`];
  const { document, error, reload } = useDocument<StatusDocument>(
    experimentDocument(experiment, "status"),
    topics,
  );
  const timeline = useDocument<TimelineDocument>(experimentDocument(experiment, "timeline"), topics).document;
  const tabs = useMemo(() => (document ? shownTabs(document, timeline) : []), [document, timeline]);
  if (!document) {
    return error ? (
      <div class="experiment-problem">
        <h1>{experiment.id}</h1>
        <ErrorNote error={error} retry={reload} />
      </div>
    ) : null;
  }
  const name = route.value.query.get("tab");
  const picked = tabs.find((tab) => tab.name === name) ?? tabs[0];
  return (
    <div class="experiment-page" data-tab={picked?.name}>
      <ExperimentHead experiment={experiment} status={document} timeline={timeline} />
      <nav class="tabs" aria-label="Views of this experiment">
        {tabs.map((tab) => (
          <TabLink key={tab.name} tab={tab} isPicked={tab === picked} />
        ))}
      </nav>
      {error ? <ErrorNote error={error} retry={reload} /> : null}
      {picked ? (
        <Part load={picked.load} experiment={experiment} status={document} timeline={timeline} />
      ) : null}
    </div>
  );
}

/** Loads the parts that the address asks for while the documents that they show are on their way. */
function loadAhead(): void {
  const { query } = route.value;
  const tab = TABS.find(({ name }) => name === query.get("tab")) ?? TABS[0];
  const parts = [tab?.load, ...(query.get("task") ? [loadLog] : [])];
  for (const load of parts) load?.().catch(() => {}); // it is tried again where it is shown, and said there
}

function TabLink({ tab, isPicked }: { tab: Tab & { count: string }; isPicked: boolean }) {
  const href = withQuery({ tab: tab.name === "tasks" ? null : tab.name });
  return (
    <a href={href} aria-current={isPicked ? "page" : undefined}>
      <span class="tab-label">{tab.label}</span>
      {tab.count ? <span class="tab-count">{tab.count}</span> : null}
    </a>
  );
}
