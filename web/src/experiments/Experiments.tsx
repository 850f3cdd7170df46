import { useMemo } from "preact/hooks";
import { experimentHref } from "../api/addresses";
import type { ListDocument } from "../api/documents/list";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { command, conditionsOf, type FilterWord } from "../lists/conditions";
import { yesterday } from "../lists/days";
import { ListFrame } from "../lists/ListFrame";
import { type ListColumn, ListTable } from "../lists/ListTable";
import { listPath } from "../lists/listPath";
import { toggleMark } from "../lists/marks";
import { NoneMatches } from "../lists/NoneMatches";
import { sortOf, sortText } from "../lists/SortHead";
import { useRowKeys } from "../lists/useRowKeys";
import { useWide } from "../lists/useWide";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { ExperimentRow, rowId } from "./ExperimentRow";
import { NoExperiments } from "./NoExperiments";
import { type Entry, headline } from "./note";
import "./Experiments.css";

const WORDS = ["name", "tag", "owner", "executor", "since", "status", "text"] as const;
const STATUSES = ["RUNNING", "FAILED", "INTERRUPTED", "CANCELLED", "COMPLETED"] as const;
const SORT = "-created";
const SORTS: Readonly<Record<string, readonly [string, string]>> = {
  created: ["oldest first", "newest first"],
  status: ["by status", "by status, reversed"],
  name: ["by name", "by name, reversed"],
  owner: ["by owner", "by owner, reversed"],
  executor: ["by executor", "by executor, reversed"],
  duration: ["shortest first", "longest first"],
};
const COLUMNS: readonly ListColumn[] = [
  { title: "Experiment", word: "name" },
  { title: "Tasks", class: "column-tasks" },
  { title: "Owner", word: "owner", class: "column-owner" },
  { title: "Executor", word: "executor", class: "column-executor" },
  { title: "Tags", class: "column-tags" },
  { title: "Duration", word: "duration", class: "column-duration", isDescending: true },
  { title: "Age", word: "created", class: "column-age", isDescending: true },
];
const LIST = "/v1/views/experiments";
const loadPreview = () => import("./Preview").then((part) => part.Preview);

/** The list of experiments. */
export function Experiments() {
  const { query } = route.value;
  const sort = sortOf(query, SORT);
  const list = useDocument<ListDocument>(listPath(LIST, query, WORDS), ["experiments"], { keeps: true });
  const failed = useFailedSinceYesterday(query);
  const document = list.document;
  const entries = document?.experiments ?? [];
  const isWide = useWide();
  const asked = query.get("picked");
  const ids = entries.map(rowId);
  const picked = asked !== null && ids.includes(asked) ? asked : isWide ? (ids[0] ?? null) : null;
  const open = (id: string) => {
    const entry = entries.find((one) => rowId(one) === id);
    if (entry) navigate(hrefOf(entry));
  };
  const pick = (id: string) => navigate(withQuery({ picked: id }), { replace: true });
  useRowKeys({ ids, picked, onPick: pick, onOpen: open, onMark: toggleMark });
  const words = useMemo(() => filterWords(entries), [document]);
  const conditions = conditionsOf(query, WORDS);
  if (!document) return list.error ? <ErrorNote error={list.error} retry={list.reload} /> : null;
  const statuses = document.statuses ?? {};
  const isEmpty = !entries.length && !query.get("cursor");
  if (isEmpty && !conditions.length) return <NoExperiments />;
  const hint = command(["exp", "list"], conditions);
  const preview = entries.find((one) => rowId(one) === picked);
  return (
    <ListFrame
      title="Experiments"
      sentence={headline(statuses, failed)}
      command={hint}
      words={words}
      statuses={STATUSES}
      document={document}
      shown={entries.length}
      sort={sortText(sort, SORTS)}
      pages={sort === SORT ? ["Newer", "Older"] : ["Previous", "Next"]}
      markKind="experiment"
      isFormer={list.isFormer}
      error={list.error}
      aside={
        isWide && preview ? (
          <Part load={loadPreview} key={rowId(preview)} entry={preview} href={hrefOf(preview)} />
        ) : null
      }
    >
      {isEmpty ? (
        <NoneMatches
          words={words}
          conditions={conditions}
          command={hint}
          all={`${LIST}?limit=1`}
          topic="experiments"
          kind="experiment"
        />
      ) : (
        <ListTable
          class="experiments"
          columns={COLUMNS}
          sort={sort}
          start={SORT}
          entries={entries}
          picked={picked}
          idOf={rowId}
          timeOf={({ created }) => created}
          row={(entry, state) => (
            <ExperimentRow
              key={rowId(entry)}
              entry={entry}
              href={hrefOf(entry)}
              {...state}
              onPick={isWide ? pick : null}
            />
          )}
        />
      )}
    </ListFrame>
  );
}

function hrefOf({ owner = "", home = "", id }: Entry): string {
  return experimentHref({ owner, home, id });
}

/** How many of these failed since yesterday; null if a condition says another time. */
function useFailedSinceYesterday(query: URLSearchParams): number | null {
  const asked = new URLSearchParams();
  for (const word of WORDS) {
    if (word !== "status") for (const value of query.getAll(word)) asked.append(word, value);
  }
  const isOther = asked.has("since");
  asked.set("status", "FAILED");
  asked.set("since", yesterday(new Date()).toISOString());
  asked.set("limit", "1");
  const path = isOther ? null : `${LIST}?${asked}`;
  return useDocument<ListDocument>(path, ["experiments"], { keeps: true }).document?.total ?? null;
}

/** The words of the conditions, with what the rows here suggest. */
function filterWords(entries: readonly Entry[]): FilterWord[] {
  const several = (values: Iterable<string>) => [...new Set(values)].sort();
  return [
    { word: "name", values: several(entries.map((entry) => entry.name)) },
    { word: "tag", values: several(entries.flatMap((entry) => entry.tags)) },
    { word: "owner", values: several(entries.flatMap((entry) => entry.owner ?? [])) },
    { word: "executor", values: several(entries.flatMap((entry) => entry.executors ?? [])) },
    { word: "since", values: ["1h", "1d", "7d", "30d"], isSingle: true },
    { word: "status", values: STATUSES },
    { word: "text", values: [], isSingle: true },
  ];
}
