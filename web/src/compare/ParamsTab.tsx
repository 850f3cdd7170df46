import { useMemo } from "preact/hooks";
import { experimentName } from "../api/addresses";
import type { CompareDocument } from "../api/documents/compare";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import type { TabProps } from "../experiment/tabs";
import { documentPath } from "../sweep/request";
import { CommandHint } from "../ui/CommandHint";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { commandLine } from "../ui/quoting";
import { ParamsDiff } from "./ParamsDiff";
import "./ParamsTab.css";

/** The params of an experiment's records: of two side by side, of one as a tree. */
export function ParamsTab({ experiment, status }: TabProps) {
  const name = experimentName(experiment);
  const path = documentPath(
    { experiments: [name], prefixes: [], task: null },
    { where: [], keys: [], sort: [], groupBy: [], over: [], isAllParams: false },
  );
  const { document, error, reload } = useDocument<CompareDocument>(path, [`experiment:${name}`]);
  const candidates = useMemo(
    () => [...new Set(document?.rows.map((row) => row.prefix))].map((prefix) => ({ prefix })),
    [document],
  );
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  if (!candidates.length) {
    return (
      <EmptyState>
        <p>No task of this experiment has set params or logged anything yet. A program does so with:</p>
        <p>
          <CommandHint command="experiment.params.set(lr=0.1)" />
        </p>
      </EmptyState>
    );
  }
  const asked = route.value.query
    .getAll("with")
    .filter((prefix) => candidates.some((each) => each.prefix === prefix));
  const shown = asked.length ? asked : candidates.slice(0, 2).map((each) => each.prefix);
  const others = candidates.filter((each) => !shown.includes(each.prefix));
  const set = (prefixes: readonly string[]) => navigate(withQuery({ with: prefixes }));
  return (
    <div class="params-tab">
      <div class="params-bar">
        {shown.length > 1 && candidates.length > 1 ? (
          <button type="button" class="button small" onClick={() => set(shown.slice(0, -1))}>
            {shown.length === 2 ? "Only the first" : "One fewer"}
          </button>
        ) : null}
        {others[0] ? (
          <button type="button" class="button small" onClick={() => set([...shown, others[0]?.prefix ?? ""])}>
            {shown.length === 1 ? "Beside another record" : "One more"}
          </button>
        ) : null}
        <CommandHint command={commandLine("exp", "params", status.id)} />
      </div>
      <ParamsDiff
        records={shown.map((prefix) => ({ prefix }))}
        candidates={candidates}
        onChoose={(index, record) =>
          set(shown.map((prefix, each) => (each === index ? record.prefix : prefix)))
        }
      />
    </div>
  );
}
