import { useMemo } from "preact/hooks";
import { recordHref } from "../api/addresses";
import type { RecordsDocument } from "../api/documents/records";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { type Condition, conditionsOf, type FilterWord } from "../lists/conditions";
import { dayOf } from "../lists/days";
import { ListFrame } from "../lists/ListFrame";
import { marked, toggleMark } from "../lists/marks";
import { NoneMatches } from "../lists/NoneMatches";
import { SortHead, sortOf, sortText } from "../lists/SortHead";
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
const PAGE = 50;
const LIST = "/v1/views/records";

/** The list of records. */
export function Records() {
  const { query } = route.value;
  const sort = sortOf(query, SORT);
  const list = useDocument<RecordsDocument>(pathOfList(query), ["records"], { keeps: true });
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
      markKind="prefix"
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
        <table class="records">
          <colgroup>
            <col class="column-mark" />
            <col class="column-word" />
          </colgroup>
          <thead>
            <tr>
              <SortHead word="status" sort={sort} start={SORT} colSpan={2} class="column-status">
                Status
              </SortHead>
              <SortHead word="prefix" sort={sort} start={SORT}>
                Record
              </SortHead>
              <th class="column-note">Note</th>
              <th class="column-experiment">Experiment</th>
              <th class="column-tags">Tags</th>
              <th class="column-openings">Openings</th>
              <th class="column-duration">Duration</th>
              <SortHead word="opened" sort={sort} start={SORT} class="column-age" isDescending>
                Age
              </SortHead>
            </tr>
          </thead>
          <Unreadable problems={document.unreadable ?? []} />
          <Groups
            entries={entries}
            hasDays={sort.endsWith("opened")}
            picked={picked}
            folder={isTree ? folder : ""}
          />
        </table>
      )}
    </ListFrame>
  );
}

interface GroupsProps {
  readonly entries: readonly Entry[];
  readonly hasDays: boolean;
  readonly picked: string | null;
  readonly folder: string;
}

function Groups({ entries, hasDays, picked, folder }: GroupsProps) {
  const marks = marked();
  const today = new Date();
  const groups: { day: string | null; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const day = hasDays ? dayOf(entry.opened || null, today) : null;
    const last = groups.at(-1);
    if (last?.day === day) last.entries.push(entry);
    else groups.push({ day, entries: [entry] });
  }
  const first = picked ?? (entries[0] ? rowId(entries[0]) : null);
  return (
    <>
      {groups.map((group) => (
        <tbody key={group.day ?? ""}>
          {group.day === null ? null : (
            <tr class="list-day">
              <th colSpan={9} scope="rowgroup">
                {group.day}
              </th>
            </tr>
          )}
          {group.entries.map((entry) => (
            <RecordRow
              key={`${rowId(entry)} ${entry.root}`}
              entry={entry}
              href={hrefOf(entry)}
              folder={folder}
              isPicked={rowId(entry) === picked}
              isStop={rowId(entry) === first}
              isMarked={marks.includes(rowId(entry))}
              hasMarks={marks.length > 0}
            />
          ))}
        </tbody>
      ))}
    </>
  );
}

/** Records that cannot be read, and why; they hide no other. */
function Unreadable({ problems }: { problems: NonNullable<RecordsDocument["unreadable"]> }) {
  if (!problems.length) return null;
  return (
    <tbody>
      <tr class="list-day">
        <th colSpan={9} scope="rowgroup">
          Cannot be read
        </th>
      </tr>
      {problems.map(({ prefix, dash_root, problem }) => (
        <tr class="list-row" key={`${dash_root} ${prefix}`}>
          <td />
          <td class="status-word">UNREADABLE</td>
          <td class="record-prefix" dir="auto">
            {prefix}
          </td>
          <td colSpan={6} title={problem} dir="auto">
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

/** The address of the list that the query names. */
function pathOfList(query: URLSearchParams): string {
  const asked = new URLSearchParams();
  for (const word of [...WORDS, "sort", "cursor"]) {
    for (const value of query.getAll(word)) if (value) asked.append(word, value);
  }
  asked.set("limit", String(PAGE));
  return `${LIST}?${asked}`;
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
