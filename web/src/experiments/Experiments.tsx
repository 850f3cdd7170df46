import { useMemo } from "preact/hooks";
import { experimentHref } from "../api/addresses";
import type { ListDocument } from "../api/documents/list";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { command, conditionsOf, type FilterWord } from "../lists/conditions";
import { dayOf, yesterday } from "../lists/days";
import { ListFrame } from "../lists/ListFrame";
import { marked, toggleMark } from "../lists/marks";
import { NoneMatches } from "../lists/NoneMatches";
import { SortHead, sortOf, sortText } from "../lists/SortHead";
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
const PAGE = 50;
const LIST = "/v1/views/experiments";
const loadPreview = () => import("./Preview").then((part) => part.Preview);

/** The list of experiments. */
export function Experiments() {
  const { query } = route.value;
  const sort = sortOf(query, SORT);
  const list = useDocument<ListDocument>(pathOfList(query), ["experiments"], { keeps: true });
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
        <table class="experiments">
          <colgroup>
            <col class="column-mark" />
            <col class="column-word" />
          </colgroup>
          <thead>
            <tr>
              <SortHead word="status" sort={sort} start={SORT} colSpan={2} class="column-status">
                Status
              </SortHead>
              <SortHead word="name" sort={sort} start={SORT}>
                Experiment
              </SortHead>
              <th class="column-tasks">Tasks</th>
              <SortHead word="owner" sort={sort} start={SORT} class="column-owner">
                Owner
              </SortHead>
              <SortHead word="executor" sort={sort} start={SORT} class="column-executor">
                Executor
              </SortHead>
              <th class="column-tags">Tags</th>
              <SortHead word="duration" sort={sort} start={SORT} class="column-duration" isDescending>
                Duration
              </SortHead>
              <SortHead word="created" sort={sort} start={SORT} class="column-age" isDescending>
                Age
              </SortHead>
            </tr>
          </thead>
          <Groups
            entries={entries}
            hasDays={sort.endsWith("created")}
            picked={picked}
            picks={isWide ? pick : null}
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
  readonly picks: ((id: string) => void) | null;
}

function Groups({ entries, hasDays, picked, picks }: GroupsProps) {
  const marks = marked();
  const today = new Date();
  const groups: { day: string | null; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const day = hasDays ? dayOf(entry.created, today) : null;
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
              <th colSpan={3} scope="rowgroup">
                {group.day}
              </th>
            </tr>
          )}
          {group.entries.map((entry) => (
            <ExperimentRow
              key={rowId(entry)}
              entry={entry}
              href={hrefOf(entry)}
              isPicked={rowId(entry) === picked}
              isStop={rowId(entry) === first}
              isMarked={marks.includes(rowId(entry))}
              hasMarks={marks.length > 0}
              onPick={picks}
            />
          ))}
        </tbody>
      ))}
    </>
  );
}

function hrefOf({ owner = "", home = "", id }: Entry): string {
  return experimentHref({ owner, home, id });
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
