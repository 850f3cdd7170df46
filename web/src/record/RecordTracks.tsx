import { recordDocument } from "../api/addresses";
import type { TracksDocument } from "../api/documents/tracks";
import { useDocument } from "../api/useDocument";
import { route, withQuery } from "../app/route";
import { DataPanel } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { absolute, count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { labelText } from "../ui/shownTexts";
import { visibleText } from "../ui/visibleText";
import type { RecordTabProps } from "./recordTabs";
import { Sparkline } from "./Sparkline";
import "./RecordTracks.css";

const DRAWN = 1_000;
const LISTED = 100;

type Entry = Readonly<Record<string, Json>> & { readonly timestamp: number };

/** The topics of the record's tracks, and the last entries of one. */
export function RecordTracks({ record, view }: RecordTabProps) {
  const asked = route.value.query.get("topic");
  const topic = asked !== null && view.tracks.includes(asked) ? asked : (view.tracks[0] ?? null);
  const { document, error, reload } = useDocument<TracksDocument>(
    topic === null ? null : recordDocument(record, "tracks", { topic, last: String(DRAWN) }),
    [`record:${record.prefix}`],
  );
  if (topic === null) return <p class="data-panel-note">No tracks.</p>;
  return (
    <div class="record-tracks">
      <nav class="data-panel record-tracks-topics" aria-label="Topics">
        {view.tracks.map((name) => (
          <a key={name} href={withQuery({ topic: name })} aria-current={name === topic ? "page" : undefined}>
            {labelText(name, 200)}
          </a>
        ))}
      </nav>
      {error ? <ErrorNote error={error} retry={reload} /> : null}
      {document ? <Topic document={document} topic={topic} /> : null}
    </div>
  );
}

function Topic({ document, topic }: { document: TracksDocument; topic: string }) {
  const entries = (document.entries ?? []) as Entry[];
  const columns = document.columns ?? [];
  const numeric = columns.filter((name) => entries.some((entry) => typeof entry[name] === "number"));
  const total = document.count ?? entries.length;
  return (
    <DataPanel title={visibleText(topic)} about={<TimeRange document={document} total={total} />}>
      <div class="record-tracks-plots">
        {numeric.map((name) => (
          <figure key={name}>
            <figcaption class="mono">{labelText(name, 200)}</figcaption>
            <Sparkline
              label={`${name} over time`}
              points={entries.map((entry) => [entry.timestamp, entry[name]] as const)}
            />
          </figure>
        ))}
      </div>
      <div class="table-scroll">
        <table class="data-table">
          <thead>
            <tr>
              <th scope="col">Time</th>
              {columns.map((name) => (
                <th key={name} scope="col" class={numeric.includes(name) ? "number" : ""}>
                  {labelText(name, 200)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {entries.slice(-LISTED).map((entry) => (
              <tr key={entry.timestamp}>
                <td class="mono" title={clockOf(entry.timestamp)}>
                  {entry.timestamp}
                </td>
                {columns.map((name) => (
                  <td key={name} class={numeric.includes(name) ? "number" : "mono"} dir="auto">
                    <LongText text={plainValue(entry[name])} most={240} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {total > LISTED ? (
        <p class="data-panel-note">
          The last {LISTED} of {count(total)} entries.
        </p>
      ) : null}
    </DataPanel>
  );
}

function TimeRange({ document, total }: { document: TracksDocument; total: number }) {
  const { first, last } = document;
  const entries = `${count(total)} ${total === 1 ? "entry" : "entries"}`;
  if (first == null || last == null) return <>{entries}</>;
  return (
    <>
      {entries}, from <span title={clockOf(first)}>{first}</span> to <span title={clockOf(last)}>{last}</span>
      {total > DRAWN ? `; the last ${count(DRAWN)} are drawn` : ""}
    </>
  );
}

function clockOf(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? String(seconds) : absolute(time.toISOString());
}
