import { useEffect, useMemo, useState } from "preact/hooks";
import { CurvesBoard } from "../curves/CurvesBoard";
import { DEFAULTS } from "../curves/settings";
import { Graph } from "../graph/Graph";
import { StudyFigures } from "../search/StudyFigures";
import { TrialTable } from "../search/TrialTable";
import { count } from "../ui/format";
import type { ReportData } from "./data";
import { anchor, logAnchor, ReportFailures } from "./ReportFailures";
import { ReportHead } from "./ReportHead";
import { ReportParams, Values } from "./ReportParams";
import { ReportTasks } from "./ReportTasks";
import { reportSource } from "./reportSource";
import "./Report.css";

/** An experiment in one file. */
export function Report({ data }: { data: ReportData }) {
  const [picked, setPicked] = useState<string | null>(null);
  const [settings, setSettings] = useState(DEFAULTS);
  const source = useMemo(() => reportSource(data.curves), [data]);
  const pick = (task: string, isError = false) => {
    setPicked(task);
    const place = document.getElementById(anchor(task));
    if (place instanceof HTMLDetailsElement) place.open = true;
    const line = isError ? document.getElementById(logAnchor(task))?.querySelector(".log-lines-error") : null;
    if (line) line.scrollIntoView({ block: "center" });
    else place?.scrollIntoView({ block: "start" });
  };
  useEffect(() => followTasks(pick));
  const records = data.curves.step.records.length;
  const failed = data.status.counts.FAILED ?? 0;
  const hasReasons = data.why.tasks.length + data.logs.length > 0;
  const environment = Object.entries(data.environment);
  const packages = Object.entries(data.packages);
  return (
    <main class="report">
      <ReportHead data={data} onPick={pick} />
      {data.problems.length ? (
        <ul class="report-problems">
          {data.problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      ) : null}
      {data.graph.nodes.length > 1 ? (
        <Graph graph={data.graph} tasks={data.status.tasks} picked={picked} onPick={pick} />
      ) : null}
      <Section title="Tasks" note={count(data.status.tasks.length)}>
        <ReportTasks data={data} picked={picked} />
      </Section>
      {hasReasons ? (
        <Section title={failed ? "What failed" : "Why"} note={failed ? count(failed) : ""}>
          <ReportFailures data={data} picked={picked} />
        </Section>
      ) : null}
      {data.searches.map((study) => (
        <Section
          key={study.id}
          title={`Search ${study.id}`}
          note={`${count(study.history.length)} ${study.history.length === 1 ? "trial" : "trials"}`}
        >
          <div class="report-search">
            <StudyFigures study={study} />
            <TrialTable study={study} />
          </div>
        </Section>
      ))}
      {records ? (
        <Section title="Curves" note={`of ${count(records)} ${records === 1 ? "record" : "records"}`}>
          <CurvesBoard source={source} settings={settings} onSettings={setSettings} />
        </Section>
      ) : null}
      {records || Object.keys(data.params).length ? (
        <Section title="Params" note="">
          <ReportParams data={data} />
        </Section>
      ) : null}
      {environment.length ? (
        <Section title="Environment" note="without variables">
          <Values label="Environment" entries={environment} />
          {packages.length ? (
            <details>
              <summary>{count(packages.length)} Python packages</summary>
              <Values label="Python packages" entries={packages} />
            </details>
          ) : null}
        </Section>
      ) : null}
      <footer class="report-foot">
        Written by exp {data.version}. The same on the command line: <code>exp show {data.status.id}</code>
      </footer>
    </main>
  );
}

interface SectionProps {
  readonly title: string;
  readonly note: string;
  readonly children: preact.ComponentChildren;
}

function Section({ title, note, children }: SectionProps) {
  return (
    <section class="report-section" aria-label={title}>
      <h2>
        {title} <span class="report-quiet">{note}</span>
      </h2>
      {children}
    </section>
  );
}

/** Picks the tasks that links and rows of the page's components lead to: here they have no address. */
function followTasks(pick: (task: string, isError?: boolean) => void): () => void {
  const taskAt = (target: EventTarget | null, selector: string) =>
    target instanceof Element ? target.closest<HTMLElement>(selector) : null;
  const click = (event: MouseEvent) => {
    const link = taskAt(event.target, "a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.download || !link.search) return;
    event.preventDefault();
    const query = new URLSearchParams(link.search);
    const task = query.get("task");
    if (task) pick(task, query.get("line") === "error");
  };
  const press = (event: KeyboardEvent) => {
    const row = event.key === "Enter" ? taskAt(event.target, "tr[data-row]") : null;
    const link = row?.querySelector<HTMLAnchorElement>("a[href]");
    const task = link ? new URLSearchParams(link.search).get("task") : null;
    if (!task) return;
    event.preventDefault();
    event.stopPropagation();
    pick(task);
  };
  document.addEventListener("click", click, true);
  document.addEventListener("keydown", press, true);
  return () => {
    document.removeEventListener("click", click, true);
    document.removeEventListener("keydown", press, true);
  };
}
