import { useState } from "preact/hooks";
import { type RecordAddress, recordHref } from "../api/addresses";
import { navigate, route, withQuery } from "../app/route";
import { exactJson } from "../sweep/exactNumbers";
import { Segmented } from "../sweep/Segmented";
import { CopyButton } from "../ui/CopyButton";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { GitDiff } from "./GitDiff";
import { ParamsTree } from "./ParamsTree";
import { type Compared, compared, type RecordFacts, useRecordFacts } from "./recordFacts";
import { difference, shown } from "./texts";
import { filesOf, summary } from "./unifiedDiff";
import { Value } from "./Value";
import "../ui/panel.css";
import "./ParamsDiff.css";

export interface ParamsDiffProps {
  /** Two or more: their params, results and environments side by side. One: its params. */
  readonly records: readonly RecordAddress[];
  /** Records that can be shown instead of each. */
  readonly candidates?: readonly RecordAddress[];
  onChoose?(index: number, record: RecordAddress): void;
}

/** Records side by side: only what differs, or all. */
export function ParamsDiff(props: ParamsDiffProps) {
  const { facts, problems } = useRecordFacts(props.records);
  const [only] = facts;
  return (
    <>
      {problems.map(({ address, error }) => (
        <div key={address.prefix}>
          <p class="mono">
            <bdi>{address.prefix}</bdi>
          </p>
          <ErrorNote error={error} />
        </div>
      ))}
      {facts.length === 1 && only ? (
        <ParamsTree nested={only.nested} />
      ) : facts.length ? (
        <Shown {...props} facts={facts} />
      ) : null}
    </>
  );
}

function Shown({ facts, candidates = [], onChoose }: ParamsDiffProps & { facts: readonly RecordFacts[] }) {
  const isAll = route.value.query.get("params") === "all";
  const params = compared(facts.map((each) => each.params));
  const result = compared(facts.map((each) => each.result));
  const environment = compared(facts.map((each) => each.environment));
  const packages = compared(facts.map((each) => each.packages));
  const labels = labelsOf(facts.map((each) => each.address.prefix));
  const width = facts.length + (facts.length === 2 ? 2 : 1);
  const table = { facts, isAll, width };
  const known = facts.filter((each) => Object.keys(each.packages).length).length;
  return (
    <section class="panel params-diff" aria-label="Params side by side">
      <div class="panel-head">
        <h2>{facts.length === 2 ? "Params of two records" : `Params of ${facts.length} records`}</h2>
        <span class="panel-end panel-buttons">
          <Segmented
            label="Rows"
            value={isAll ? "all" : ""}
            choices={[
              ["", "Only what differs"],
              ["all", "All"],
            ]}
            onChoose={(value) => navigate(withQuery({ params: value || null }))}
          />
          <CopyButton
            text={asText(labels, [...params, ...result, ...environment, ...packages], isAll)}
            label="Copy as tab-separated text"
          />
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways */}
      <section class="params-scroll" tabIndex={0} aria-label="Values">
        <table class="params-table">
          <thead>
            <tr>
              <th scope="row">
                <span class="visually-hidden">Name</span>
              </th>
              {facts.map((each, index) => (
                <th key={each.address.prefix} scope="col">
                  <Head
                    facts={each}
                    label={labels[index] ?? ""}
                    candidates={candidates}
                    onChoose={onChoose ? (record) => onChoose(index, record) : null}
                  />
                </th>
              ))}
              {facts.length === 2 ? (
                <th scope="col">
                  <span class="visually-hidden">Difference</span>
                </th>
              ) : null}
            </tr>
          </thead>
          <Section title="Params" rows={params} {...table} />
          <Section title="Result" note="last value" rows={result} {...table} />
          <Section
            title="Environment"
            note={known < facts.length ? `the packages of ${facts.length - known} are not known` : ""}
            rows={[...environment, ...packages]}
            {...table}
          />
          <Git {...table} />
        </table>
      </section>
      <Diffs facts={facts} labels={labels} />
    </section>
  );
}

interface HeadProps {
  readonly facts: RecordFacts;
  readonly label: string;
  readonly candidates: readonly RecordAddress[];
  readonly onChoose: ((record: RecordAddress) => void) | null;
}

function Head({ facts, label, candidates, onChoose }: HeadProps) {
  const { prefix } = facts.address;
  const names = labelsOf(candidates.map((each) => each.prefix));
  return (
    <span class="params-record" title={prefix}>
      <StatusMark status={facts.status} />
      {onChoose && candidates.length > 1 ? (
        <select
          aria-label={`Record instead of ${label}`}
          value={prefix}
          onChange={(event) => {
            const chosen = candidates.find((each) => each.prefix === event.currentTarget.value);
            if (chosen) onChoose(chosen);
          }}
        >
          {candidates.map((each, index) => (
            <option key={each.prefix} value={each.prefix}>
              {names[index]}
            </option>
          ))}
        </select>
      ) : (
        <a href={recordHref(facts.address)}>
          <bdi>{label}</bdi>
        </a>
      )}
    </span>
  );
}

interface SectionProps {
  readonly title: string;
  readonly note?: string;
  readonly rows: readonly Compared[];
  readonly facts: readonly RecordFacts[];
  readonly isAll: boolean;
  readonly width: number;
}

function Section({ title, note, rows, facts, isAll, width }: SectionProps) {
  const [isOpen, setOpen] = useState(false);
  const differing = rows.filter((row) => row.differs);
  const same = rows.length - differing.length;
  const isShown = isAll || isOpen;
  return (
    <tbody>
      <tr>
        <th class="params-section" colSpan={width} scope="rowgroup">
          <h3>{title}</h3> {note ? <span class="panel-note">{note} · </span> : null}
          <span class="panel-note">
            {rows.length ? (
              <>
                {differing.length
                  ? `${count(differing.length)} ${differing.length === 1 ? "differs" : "differ"}`
                  : "none differs"}
                {same ? ", " : ""}
              </>
            ) : (
              "none"
            )}
          </span>
          {same ? (
            isAll ? (
              <span class="panel-note">{sameText(same)}</span>
            ) : (
              <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
                {sameText(same)}
              </button>
            )
          ) : null}
        </th>
      </tr>
      {(isShown ? rows : differing).map((row) => (
        <Values key={row.name} row={row} isPair={facts.length === 2} />
      ))}
    </tbody>
  );
}

function sameText(same: number): string {
  return `${count(same)} ${same === 1 ? "is" : "are"} the same`;
}

function Values({ row, isPair }: { row: Compared; isPair: boolean }) {
  const [first] = row.values;
  return (
    <tr class={row.differs ? undefined : "is-same"}>
      <th scope="row">
        <bdi>{row.name}</bdi>
      </th>
      {row.values.map((value, index) => (
        <td key={index}>
          <Value value={value} other={row.differs ? (index ? first : row.values[1]) : undefined} />
        </td>
      ))}
      {isPair ? <td class="params-difference">{difference(first, row.values[1])}</td> : null}
    </tr>
  );
}

/** The commits, and how much was not committed. */
function Git({ facts, isAll, width }: Omit<SectionProps, "title" | "rows">) {
  if (!facts.some((each) => Object.keys(each.git).length)) return null;
  const rows = compared(
    facts.map((each) => ({
      ...each.git,
      ...(Object.keys(each.git).length
        ? { uncommitted: each.diff === null ? "not known" : summary(filesOf(each.diff)) }
        : {}),
    })),
  );
  const isSame = (name: string) => rows.every((row) => row.name !== name || !row.differs);
  const commit = facts[0]?.git.commit;
  const areDiffsSame = new Set(facts.map((each) => each.diff)).size === 1;
  const note = [
    isSame("commit")
      ? `the commit is the same${typeof commit === "string" ? `, ${commit.slice(0, 7)}` : ""}`
      : "the commits differ",
    areDiffsSame ? "what was not committed is the same" : "what was not committed differs",
  ].join("; ");
  return (
    <tbody>
      <tr>
        <th class="params-section" colSpan={width} scope="rowgroup">
          <h3>Git</h3> <span class="panel-note">{note}</span>
        </th>
      </tr>
      {rows
        .filter((row) => isAll || row.differs)
        .map((row) => (
          <Values key={row.name} row={row} isPair={facts.length === 2} />
        ))}
    </tbody>
  );
}

/** What was not committed, once for those that have the same. */
function Diffs({ facts, labels }: { facts: readonly RecordFacts[]; labels: readonly string[] }) {
  const byDiff = new Map<string, string[]>();
  for (const [index, each] of facts.entries()) {
    if (each.diff) byDiff.set(each.diff, [...(byDiff.get(each.diff) ?? []), labels[index] ?? ""]);
  }
  if (!byDiff.size) return null;
  const isAlone = byDiff.size > 1 || [...byDiff.values()].some((names) => names.length < facts.length);
  return (
    <div class="params-git">
      {[...byDiff].map(([diff, names]) => (
        <details key={names.join()} open={isAlone}>
          <summary>
            {summary(filesOf(diff))} not committed in{" "}
            <bdi>{names.length === facts.length ? "all" : names.join(", ")}</bdi>
          </summary>
          <GitDiff diff={diff} />
        </details>
      ))}
    </div>
  );
}

/** The ends of prefixes that tell them apart. */
export function labelsOf(prefixes: readonly string[]): string[] {
  const parts = prefixes.map((prefix) => prefix.split("/"));
  const [first = []] = parts;
  const shortest = Math.min(...parts.map((each) => each.length)) - 1;
  let shared = 0;
  while (shared < shortest && parts.every((each) => each[shared] === first[shared])) shared += 1;
  return parts.map((each) => each.slice(prefixes.length > 1 ? shared : -1).join("/"));
}

function asText(labels: readonly string[], rows: readonly Compared[], isAll: boolean): string {
  const plain = (text: string) => text.replace(/[\t\r\n]+/g, " ");
  const lines = rows
    .filter((row) => isAll || row.differs)
    .map((row) => [
      row.name,
      ...row.values.map((value) =>
        typeof value === "string" ? shown(value) : value === undefined ? "" : exactJson(value),
      ),
    ]);
  return [["", ...labels], ...lines].map((line) => `${line.map(plain).join("\t")}\n`).join("");
}
