import { recordDocument } from "../api/addresses";
import type { RecordLogDocument } from "../api/documents/record-log";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { DataPanel } from "../ui/DataPanel";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { absolute, clockText, count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { visibleText } from "../ui/visibleText";
import type { RecordTabProps } from "./recordTabs";
import "./RecordLogs.css";

const LEVELS = ["debug", "info", "warn", "error", "fatal"] as const;
const FIRST = 1_000;

type Line = RecordLogDocument["lines"][number];

/** The lines that the program logged, the latest below; filtered on the server. */
export function RecordLogs({ record }: RecordTabProps) {
  const query = route.value.query;
  const level = query.get("level") ?? "";
  const text = query.get("text") ?? "";
  const last = Number(query.get("last")) || FIRST;
  const asked = { last: String(last), ...(level ? { level } : {}), ...(text ? { contains: text } : {}) };
  const { document, error, reload } = useDocument<RecordLogDocument>(recordDocument(record, "logs", asked), [
    `record:${record.prefix}`,
  ]);
  const lines = document?.lines ?? [];
  const total = document?.total ?? lines.length;
  const tools = (
    <>
      <select
        class="field"
        aria-label="Least level"
        value={level}
        onChange={({ currentTarget: { value } }) => navigate(withQuery({ level: value || null }))}
      >
        <option value="">all levels</option>
        {LEVELS.slice(1).map((name) => (
          <option key={name} value={name}>
            {name} and above
          </option>
        ))}
      </select>
      <input
        class="field"
        type="search"
        aria-label="Find in messages"
        placeholder="Find in messages"
        value={text}
        onInput={({ currentTarget: { value } }) =>
          navigate(withQuery({ text: value || null }), { replace: true })
        }
      />
    </>
  );
  return (
    <DataPanel
      title="Logs"
      about={document ? about(lines.length, total, level !== "" || text !== "") : null}
      tools={tools}
    >
      {error ? <ErrorNote error={error} retry={reload} /> : null}
      {total > lines.length ? (
        <p class="data-panel-note">
          {count(total - lines.length)} earlier lines are not shown.{" "}
          <a class="link" href={withQuery({ last: String(last * 10) })}>
            Show {count(Math.min(total, last * 10))}
          </a>
        </p>
      ) : null}
      {document && !lines.length ? (
        level || text ? (
          <p class="data-panel-note">
            No line matches.{" "}
            <a class="link" href={withQuery({ level: null, text: null })}>
              Show all
            </a>
          </p>
        ) : (
          <EmptyState>
            <p>
              Nothing was logged yet. In the program: <code>experiment.log("epoch done", epoch=3)</code>
            </p>
          </EmptyState>
        )
      ) : null}
      {lines.length ? (
        <div class="record-logs">
          <table>
            <tbody>
              {lines.map((line, index) => (
                <LogRow key={`${total - lines.length + index}`} line={line} />
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </DataPanel>
  );
}

function about(shown: number, total: number, isFiltered: boolean): string {
  const what = isFiltered ? "matching lines" : "lines";
  return shown < total ? `the last ${count(shown)} of ${count(total)} ${what}` : `${count(total)} ${what}`;
}

function LogRow({ line }: { line: Line }) {
  const time = new Date(line._ts * 1000);
  return (
    <tr class={`record-logs-${line.level}`}>
      <td class="record-logs-time" title={absolute(time.toISOString())}>
        {clock(time)}
      </td>
      <td class="record-logs-level">{line.level}</td>
      <td class="record-logs-message" dir="auto">
        <LongText text={line.message} most={4_000} />
        {line.metadata ? (
          <span class="record-logs-metadata">
            {Object.entries(line.metadata as Record<string, Json>).map(([name, value]) => (
              <span key={name}>
                {" "}
                {visibleText(name)}=
                <b>
                  <LongText text={plainValue(value)} />
                </b>
              </span>
            ))}
          </span>
        ) : null}
      </td>
    </tr>
  );
}

function clock(time: Date): string {
  return `${clockText(time)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
