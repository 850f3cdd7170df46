import { useMemo } from "preact/hooks";
import { recordHref } from "../api/addresses";
import type { RecordsDocument } from "../api/documents/records";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { type Condition, conditionsOf, type FilterWord } from "../lists/conditions";
import { ListFrame } from "../lists/ListFrame";
import { GroupHead, type ListColumn, ListTable } from "../lists/ListTable";
import { listPath } from "../lists/listPath";
import { toggleMark } from "../lists/marks";
import { NoneMatches } from "../lists/NoneMatches";
import { sortOf, sortText } from "../lists/SortHead";
import { useRowKeys } from "../lists/useRowKeys";
import { ErrorNote } from "../ui/ErrorNote";
import { commandLine } from "../ui/quoting";
import { Folders } from "./Folders";
import { NoRecords } from "./NoRecords";
import { type Entry, headline } from "./note";
import { RecordRow, rowId } from "./RecordRow";
import "./Records.css";

const WORDS = ["prefix", "tag", "owner", "experiment", "since", "status", "text"] as const;
const STATUSES = ["RUNNING", "FAILED", "CANCELLED", "COMPLETED"] as const;
const SORT = "-opened";
const SORTS: Readonly<Record<string, readonly [string, string]>> = {
  opened: ["oldest first", "newest first"],
  ended: ["ended first", "ended last"],
  prefix: ["by prefix", "by prefix, reversed"],
  status: ["by status", "by status, reversed"],
  owner: ["by owner", "by owner, reversed"],
};
const COLUMNS: readonly ListColumn[] = [
  { title: "Record", word: "prefix" },
  { title: "Note", class: "column-note" },
  { title: "Experiment", class: "column-experiment" },
  { title: "Tags", class: "column-tags" },
  { title: "Openings", class: "column-openings" },
  { title: "Duration", class: "column-duration" },
  { title: "Age", word: "opened", class: "column-age", isDescending: true },
];
const LIST = "/v1/views/records";

/** The list of records. */
export function Records() {
  const { query } = route.value;
  const sort = sortOf(query, SORT);
  const list = useDocument<RecordsDocument>(listPath(LIST, query, WORDS), ["records"], { keeps: true });
  const document = list.document;
  const entries = document?.records ?? [];
  const ids = entries.map(rowId);
  const asked = query.get("picked");
  const picked = asked !== null && ids.includes(asked) ? asked : null;
  useRowKeys({
    ids,
    picked,
    onPick: (id) => navigate(withQuery({ picked: id }), { replace: true }),
    onOpen: (id) => {
      const entry = entries.find((one) => rowId(one) === id);
      if (entry) navigate(hrefOf(entry));
    },
    onMark: toggleMark,
  });
  const words = useMemo(() => filterWords(entries), [document]);
  const conditions = conditionsOf(query, WORDS);
  if (!document) return list.error ? <ErrorNote error={list.error} retry={list.reload} /> : null;
  const isEmpty = !entries.length && !document.unreadable?.length && !query.get("cursor");
  if (isEmpty && !conditions.length) return <NoRecords />;
  const folder = (query.get("prefix") ?? "").replace(/^\/+|\/+$/g, "");
  const isTree = !/[*?[]/.test(folder);
  return (
    <ListFrame
      title="Records"
      sentence={headline(document.statuses ?? {})}
      command={commandOf(conditions)}
      words={words}
      hidden={isTree ? ["prefix"] : []}
      statuses={STATUSES}
      document={document}
      shown={entries.length}
      sort={sortText(sort, SORTS)}
      pages={sort === SORT ? ["Newer", "Older"] : ["Previous", "Next"]}
      markKind="record"
      isFormer={list.isFormer}
      error={list.error}
      above={isTree ? <Folders folder={folder} folders={document.folders ?? []} /> : null}
      aside={null}
    >
      {isEmpty ? (
        <NoneMatches
          words={words}
          conditions={conditions}
          command={commandOf(conditions)}
          all={`${LIST}?limit=1`}
          topic="records"
          kind="record"
        />
      ) : (
        <ListTable
          class="records"
          columns={COLUMNS}
          sort={sort}
          start={SORT}
          entries={entries}
          picked={picked}
          idOf={rowId}
          timeOf={({ opened }) => opened || null}
          row={(entry, state) => (
            <RecordRow
              key={`${rowId(entry)} ${entry.root}`}
              entry={entry}
              href={hrefOf(entry)}
              folder={isTree ? folder : ""}
              {...state}
            />
          )}
        >
          <Unreadable problems={document.unreadable ?? []} />
        </ListTable>
      )}
    </ListFrame>
  );
}

/** Records that cannot be read, and why; they hide no other. */
function Unreadable({ problems }: { problems: NonNullable<RecordsDocument["unreadable"]> }) {
  if (!problems.length) return null;
  return (
    <tbody>
      <GroupHead>Cannot be read</GroupHead>
      {problems.map(({ prefix, dash_root, problem }) => (
        <tr class="list-row" key={`${dash_root} ${prefix}`}>
          <td />
          <td class="status-word">UNREADABLE</td>
          <td class="records-prefix" dir="auto">
            {prefix}
          </td>
          <td class="column-note" title={problem} dir="auto">
            {problem}
          </td>
        </tr>
      ))}
    </tbody>
  );
}

function hrefOf({ prefix, root }: Entry): string {
  return recordHref({ prefix, ...(root ? { root } : {}) });
}

/** The command with the same conditions; null if there is none. */
function commandOf(conditions: readonly Condition[]): string | null {
  const named = conditions.filter(({ word }) => word === "prefix" || word === "experiment");
  const others = conditions.filter((one) => !named.includes(one));
  if (named.length > 1 || others.some(({ word }) => word !== "status" && word !== "tag")) return null;
  const what = named.map(({ word, value }) =>
    word === "prefix" && !/[*?[]/.test(value) ? `${value}/` : value,
  );
  const options = others.flatMap(({ word, value }) => [`--${word}`, value]);
  return commandLine("exp", "records", ...what, ...options);
}

/** The words of the conditions, with what the rows here suggest. */
function filterWords(entries: readonly Entry[]): FilterWord[] {
  const several = (values: Iterable<string>) => [...new Set(values)].sort();
  return [
    { word: "prefix", values: [], isSingle: true },
    { word: "tag", values: several(entries.flatMap((entry) => entry.tags)) },
    { word: "owner", values: several(entries.map(({ prefix }) => prefix.split("/", 1)[0] ?? "")) },
    { word: "experiment", values: several(entries.flatMap(({ experiment }) => experiment ?? [])) },
    { word: "since", values: ["1h", "1d", "7d", "30d"], isSingle: true },
    { word: "status", values: STATUSES },
    { word: "text", values: [], isSingle: true },
  ];
}
