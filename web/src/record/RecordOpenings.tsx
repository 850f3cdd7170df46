import { recordDocument } from "../api/addresses";
import type { OpeningsDocument } from "../api/documents/openings";
import { useDocument } from "../api/useDocument";
import { DataPanel, Fact } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { absolute, age, count, duration } from "../ui/format";
import { LongText } from "../ui/LongText";
import { StatusWord } from "../ui/StatusMark";
import { labelText } from "../ui/shownTexts";
import { visibleText } from "../ui/visibleText";
import type { RecordTabProps } from "./recordTabs";
import "./RecordOpenings.css";

type Opening = OpeningsDocument["openings"][number];

const STATES: Readonly<Record<string, string>> = {
  gone: "the process ended without recording it",
  elsewhere: "on another host",
  supervised: "its supervisor records the end",
};

/** Who opened the record, where and when, and how it ended; the latest first. */
export function RecordOpenings({ record }: RecordTabProps) {
  const { document, error, reload } = useDocument<OpeningsDocument>(recordDocument(record, "openings"), [
    `record:${record.prefix}`,
  ]);
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  return (
    <DataPanel title="Openings" about={count(document.openings.length)}>
      {[...document.openings].reverse().map((opening, index) => (
        <OneOpening
          key={opening.id}
          opening={opening}
          number={document.openings.length - index}
          isOpen={document.openings.length === 1}
        />
      ))}
    </DataPanel>
  );
}

function OneOpening({ opening, number, isOpen }: { opening: Opening; number: number; isOpen: boolean }) {
  const facts = opening.facts as Readonly<Record<string, Json>>;
  const state = STATES[opening.state];
  const seconds = opening.ended ? (Date.parse(opening.ended) - Date.parse(opening.opened)) / 1000 : null;
  return (
    <details class="record-opening" open={isOpen}>
      <summary>
        <span class="record-opening-number">{number}</span>
        <StatusWord status={opening.status} />
        <span>
          generation {opening.generation}
          {opening.attempt === opening.generation ? "" : `, attempt ${opening.attempt}`}
        </span>
        <span class="mono">{visibleText(whereOf(facts))}</span>
        <span title={absolute(opening.opened)}>opened {age(opening.opened)} ago</span>
        {seconds === null ? null : (
          <span title={absolute(opening.ended ?? "")}>took {duration(seconds)}</span>
        )}
        {opening.message ? (
          <span class="record-opening-message">{labelText(opening.message, 500)}</span>
        ) : null}
        {state ? <span>{state}</span> : null}
      </summary>
      <dl class="record-opening-facts">
        {opening.reason ? (
          <Fact name="reason">
            <LongText text={opening.reason} />
          </Fact>
        ) : null}
        {Object.entries(facts).map(([name, value]) => (
          <Fact key={name} name={visibleText(name)}>
            <span class="mono">
              <LongText text={plainValue(value)} />
            </span>
          </Fact>
        ))}
      </dl>
    </details>
  );
}

function whereOf(facts: Readonly<Record<string, Json>>): string {
  const [user, host, pid] = ["user", "host", "pid"].map((name) => facts[name]);
  const place = [user, host].filter((each) => each !== undefined && each !== null).join("@");
  return pid == null ? place : `${place} pid ${plainValue(pid)}`;
}
