import { useEffect, useMemo } from "preact/hooks";
import { type RecordAddress, recordHref, recordText } from "../api/addresses";
import type { CompareDocument } from "../api/documents/compare";
import { navigate, pathOf, route, withQuery } from "../app/route";
import { Comparison } from "../sweep/Comparison";
import { choiceOf, documentPath, type Source } from "../sweep/request";
import { useLatest } from "../sweep/useLatest";
import { CommandHint } from "../ui/CommandHint";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { CompareSearch } from "./CompareSearch";
import { foldersOf, type Located } from "./labels";
import { ParamsDiff } from "./ParamsDiff";
import "./CompareView.css";

const TABS = [
  { name: "table", label: "Table" },
  { name: "curves", label: "Curves" },
  { name: "params", label: "Params" },
] as const;

const MOST_BESIDE = 6; // records whose params are side by side
const loadCurves = () => import("../curves/CurvesView").then((part) => part.CurvesView);

/** Any records and experiments beside each other: those that the address names. */
export function CompareView() {
  const query = route.value.query;
  const records = query.getAll("record");
  const prefixes = query.getAll("prefix");
  const experiments = query.getAll("experiment");
  const source: Source = { experiments, prefixes: [...records, ...prefixes], task: query.get("task") };
  const isEmpty = !experiments.length && !source.prefixes.length;
  const picked = TABS.find((tab) => tab.name === query.get("tab")) ?? TABS[0];
  const without = (name: string, value: string) =>
    navigate(withQuery({ [name]: query.getAll(name).filter((each) => each !== value) }));
  const add = (name: string, value: string) => {
    if (!query.getAll(name).includes(value)) navigate(withQuery({ [name]: [...query.getAll(name), value] }));
  };
  return (
    <>
      <div class="compare-head">
        <h1>Compare</h1>
        <CompareSearch onAdd={add} />
      </div>
      {isEmpty ? null : (
        <ul class="compare-picks" aria-label="What is compared">
          {experiments.map((name) => (
            <Pick
              key={name}
              word="experiment"
              text={name.split("/").at(-1) ?? name}
              href={pathOf("experiments", ...name.split("/"))}
              onRemove={() => without("experiment", name)}
            />
          ))}
          {records.map((prefix) => (
            <Pick
              key={prefix}
              word="record"
              text={prefix}
              href={recordHref({ prefix })}
              onRemove={() => without("record", prefix)}
            />
          ))}
          {prefixes.map((prefix) => (
            <Pick
              key={prefix}
              word="prefix"
              text={prefix}
              href={`/records?${new URLSearchParams({ prefix })}`}
              onRemove={() => without("prefix", prefix)}
            />
          ))}
        </ul>
      )}
      {isEmpty ? (
        <Nothing />
      ) : (
        <>
          <nav class="compare-tabs" aria-label="Compare">
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
          {picked.name === "table" ? (
            <Comparison
              key={JSON.stringify(source)}
              source={source}
              topics={topicsOf(source)}
              fileName="comparison"
              empty={<NoneMatches />}
            />
          ) : (
            <OfRecords source={source} tab={picked.name} />
          )}
        </>
      )}
    </>
  );
}

function topicsOf(source: Source): string[] {
  return [...source.experiments.slice(0, 8).map((name) => `experiment:${name}`), "records"];
}

interface PickProps {
  readonly word: string;
  readonly text: string;
  readonly href: string;
  onRemove(): void;
}

function Pick({ word, text, href, onRemove }: PickProps) {
  return (
    <li class="compare-pick">
      {word}
      <a href={href} title={text}>
        <bdi>{text}</bdi>
      </a>
      <button type="button" aria-label={`Remove ${word} ${text}`} onClick={onRemove}>
        ×
      </button>
    </li>
  );
}

/** The curves or params of the rows that meet the conditions, in their order. */
function OfRecords({ source, tab }: { source: Source; tab: "curves" | "params" }) {
  useEffect(() => {
    if (tab === "curves") loadCurves().catch(() => {}); // beside the question which records there are
  }, [tab]);
  const query = route.value.query;
  const path = documentPath(source, { ...choiceOf(query), keys: [], groupBy: [], over: [] });
  const { document, error, reload } = useLatest<CompareDocument>(
    JSON.stringify(source),
    path,
    topicsOf(source),
  );
  const records = useMemo(() => recordsOf(document?.rows ?? []), [document]);
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  if (!records.length) return <NoneMatches />;
  if (tab === "curves") return <Part load={loadCurves} records={records.map(addressOf)} />;
  const asked = query.getAll("with").flatMap((text) => records.filter((each) => recordText(each) === text));
  const shown = asked.length ? asked : records.slice(0, MOST_BESIDE);
  return (
    <div class="compare-body">
      {records.length > shown.length ? (
        <p class="compare-many">
          {shown.length} of {records.length} records; choose others in the heads of the columns.
        </p>
      ) : null}
      <ParamsDiff
        records={shown.map(addressOf)}
        candidates={records}
        onChoose={(index, record) =>
          navigate(
            withQuery({ with: shown.map((each, place) => recordText(place === index ? record : each)) }),
          )
        }
      />
    </div>
  );
}

/** The records of rows, each once; with their folder where several have a record of the same prefix. */
function recordsOf(rows: CompareDocument["rows"]): (RecordAddress & Located)[] {
  const located = rows.map((row) => ({ prefix: row.prefix, root: row.root, folder: row.dash_root }));
  const folders = foldersOf(located);
  const records = located.map(({ prefix, root, folder }, index) =>
    folders[index] && root !== undefined ? { prefix, root, folder } : { prefix },
  );
  return [...new Map(records.map((record) => [recordText(record), record])).values()];
}

function addressOf({ prefix, root }: RecordAddress): RecordAddress {
  return root ? { prefix, root } : { prefix };
}

function Nothing() {
  return (
    <EmptyState>
      <p>Nothing is chosen yet. There are three ways to compare:</p>
      <ol class="compare-ways">
        <li>
          In <a href="/">Experiments</a> or <a href="/records">Records</a>, mark rows with <kbd>x</kbd>, then
          press Compare.
        </li>
        <li>Find an experiment or a record in the field above.</li>
        <li>Type a prefix or a glob there, such as “alice/study/*”: all records below it are compared.</li>
      </ol>
      <p>
        <CommandHint command="exp compare alice/study/" />
      </p>
    </EmptyState>
  );
}

function NoneMatches() {
  return (
    <EmptyState>
      <p>No record matches what is chosen above. Records appear here when their program begins.</p>
      <p>
        <CommandHint command="exp records" />
      </p>
    </EmptyState>
  );
}
