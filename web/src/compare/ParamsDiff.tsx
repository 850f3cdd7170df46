import { useState } from "preact/hooks";
import { type RecordAddress, recordHref, recordText } from "../api/addresses";
import { navigate, route, withQuery } from "../app/route";
import { exactJson } from "../sweep/exactNumbers";
import { Segmented } from "../sweep/Segmented";
import { CopyButton } from "../ui/CopyButton";
import { parseUnifiedDiff } from "../ui/diffHunks";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { type Compared, compared } from "./compared";
import { GitDiff, summary } from "./GitDiff";
import { type Located, namesOf } from "./labels";
import { ParamsTree } from "./ParamsTree";
import { type RecordFacts, useRecordFacts } from "./recordFacts";
import { difference, shown } from "./texts";
import { Value } from "./Value";
import "../sweep/SweepPanel.css";
import "./ParamsDiff.css";

export interface ParamsDiffProps {
  /** Two or more: their params, results and environments side by side. One: its params. */
  readonly records: readonly RecordAddress[];
  /** Records that can be shown instead of each. */
  readonly candidates?: readonly (RecordAddress & Located)[];
  onChoose?(index: number, record: RecordAddress): void;
}

/** Records side by side: only what differs, or all. */
export function ParamsDiff(props: ParamsDiffProps) {
  const { facts, problems } = useRecordFacts(props.records);
  const [only] = facts;
  return (
    <>
      {problems.map(({ address, error }) => (
        <div key={recordText(address)}>
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
  const labels = namesOf(facts.map(({ address, folder }) => ({ ...address, folder })));
  const width = facts.length + (facts.length === 2 ? 3 : 2);
  const table = { facts, isAll, width };
  const known = facts.filter((each) => Object.keys(each.packages).length).length;
  return (
    <section class="sweep-panel params-diff" aria-label="Params side by side">
      <div class="sweep-panel-head">
        <h2>{facts.length === 2 ? "Params of two records" : `Params of ${facts.length} records`}</h2>
        <span class="sweep-panel-end sweep-panel-buttons">
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
        <table class="params-diff-table">
          <thead>
            <tr>
              <th scope="row">
                <span class="visually-hidden">Name</span>
              </th>
              {facts.map((each, index) => (
                <th key={recordText(each.address)} scope="col">
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
              <td class="params-rest" />
            </tr>
          </thead>
          <Section title="Params" rows={params} {...table} />
          <Section title="Result" note="last value" rows={result} isRounded {...table} />
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
  readonly candidates: readonly (RecordAddress & Located)[];
  readonly onChoose: ((record: RecordAddress) => void) | null;
}

function Head({ facts, label, candidates, onChoose }: HeadProps) {
  const { prefix } = facts.address;
  const names = namesOf(candidates);
  return (
    <span class="params-record" title={prefix}>
      <StatusMark status={facts.status} />
      {onChoose && candidates.length > 1 ? (
        <select
          aria-label={`Record instead of ${label}`}
          value={recordText(facts.address)}
          onChange={(event) => {
            const chosen = candidates.find((each) => recordText(each) === event.currentTarget.value);
            if (chosen) onChoose(chosen);
          }}
        >
          {candidates.map((each, index) => (
            <option key={recordText(each)} value={recordText(each)}>
              {visibleText(names[index] ?? "")}
            </option>
          ))}
        </select>
      ) : (
        <a href={recordHref(facts.address)}>
          <bdi>{visibleText(label)}</bdi>
        </a>
      )}
    </span>
  );
}

interface SectionProps {
  readonly title: string;
  readonly note?: string;
  readonly rows: readonly Compared[];
  readonly isRounded?: boolean;
  readonly facts: readonly RecordFacts[];
  readonly isAll: boolean;
  readonly width: number;
}

function Section({ title, note, rows, isRounded = false, facts, isAll, width }: SectionProps) {
  const [isOpen, setOpen] = useState(false);
  const differing = rows.filter((row) => row.differs);
  const same = rows.length - differing.length;
  const isShown = isAll || isOpen;
  return (
    <tbody>
      <tr>
        <th class="params-section" colSpan={width} scope="rowgroup">
          <h3>{title}</h3> {note ? <span class="sweep-panel-note">{note} · </span> : null}
          <span class="sweep-panel-note">
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
              <span class="sweep-panel-note">{sameText(same)}</span>
            ) : (
              <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
                {sameText(same)}
              </button>
            )
          ) : null}
        </th>
      </tr>
      {(isShown ? rows : differing).map((row) => (
        <Values key={row.name} row={row} isPair={facts.length === 2} isRounded={isRounded} />
      ))}
    </tbody>
  );
}

function sameText(same: number): string {
  return `${count(same)} ${same === 1 ? "is" : "are"} the same`;
}

function Values({ row, isPair, isRounded = false }: { row: Compared; isPair: boolean; isRounded?: boolean }) {
  const [first] = row.values;
  return (
    <tr class={row.differs ? undefined : "is-same"}>
      <th scope="row">
        <bdi>{visibleText(row.name)}</bdi>
      </th>
      {row.values.map((value, index) => (
        <td key={index}>
          <Value
            value={value}
            isRounded={isRounded}
            other={row.differs ? (index ? first : row.values[1]) : undefined}
          />
        </td>
      ))}
      {isPair ? <td class="params-difference">{difference(first, row.values[1])}</td> : null}
      <td class="params-rest" />
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
        ? { uncommitted: each.diff === null ? "not known" : summary(parseUnifiedDiff(each.diff)) }
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
          <h3>Git</h3> <span class="sweep-panel-note">{note}</span>
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
            {summary(parseUnifiedDiff(diff))} not committed in{" "}
            <bdi>{names.length === facts.length ? "all" : names.join(", ")}</bdi>
          </summary>
          <GitDiff diff={diff} />
        </details>
      ))}
    </div>
  );
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
