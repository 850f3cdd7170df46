import { useState } from "preact/hooks";
import { type RecordAddress, recordDocument } from "../api/addresses";
import type { ParamsDocument } from "../api/documents/params";
import type { RecordsDocument } from "../api/documents/records";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { ParamsDiff } from "../compare/ParamsDiff";
import { FilesView } from "../files/FilesView";
import { CopyButton } from "../ui/CopyButton";
import { DataPanel } from "../ui/DataPanel";
import { EmptyState } from "../ui/EmptyState";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { visibleText } from "../ui/visibleText";
import type { RecordTabProps } from "./recordTabs";
import "./RecordParams.css";

/** The params, alone or beside those of another record; on wide screens the files beside them. */
export function RecordParams({ record, view }: RecordTabProps) {
  const other = route.value.query.get("with");
  const params = other ? (
    <DataPanel title="Params of two records" tools={<ComparePicker record={record} picked={other} />}>
      <ParamsDiff records={[record, otherRecord(other)]} />
    </DataPanel>
  ) : (
    <OwnParams record={record} />
  );
  return view.counts?.files ? (
    <div class="record-columns">
      {params}
      <FilesView records={[record]} />
    </div>
  ) : (
    params
  );
}

/** `PREFIX`, or `PREFIX?root=WORD`, as the address has it. */
function otherRecord(text: string): RecordAddress {
  const [prefix = "", root] = text.split("?root=", 2);
  return root ? { prefix, root } : { prefix };
}

function OwnParams({ record }: { record: RecordAddress }) {
  const [typed, setTyped] = useState("");
  const { document, error, reload } = useDocument<ParamsDocument>(
    recordDocument(record, "params"),
    [`record:${record.prefix}`],
    { isExact: true },
  );
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const params = Object.entries((document.records[0]?.params ?? {}) as Record<string, Json>);
  const wanted = typed.trim().toLowerCase();
  const shown = params.filter(([name, value]) =>
    `${name} ${plainValue(value)}`.toLowerCase().includes(wanted),
  );
  return (
    <DataPanel
      title="Params"
      about={count(params.length)}
      tools={
        params.length ? (
          <>
            {params.length > 12 ? (
              <input
                class="field"
                type="search"
                aria-label="Find params"
                placeholder="Find"
                value={typed}
                onInput={({ currentTarget: { value } }) => setTyped(value)}
              />
            ) : null}
            <ComparePicker record={record} picked={null} />
            <CopyButton text={asTable(params)} label="Copy as a table" />
          </>
        ) : null
      }
    >
      {params.length ? (
        <div class="table-scroll">
          <table class="data-table params-table">
            <tbody>
              {shown.map(([name, value]) => (
                <tr key={name}>
                  <th scope="row" class="mono">
                    <bdi>
                      <LongText text={name} most={200} />
                    </bdi>
                  </th>
                  <td class="mono" dir="auto">
                    <LongText text={plainValue(value)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {shown.length ? null : (
            <p class="data-panel-note">None of {count(params.length)} params matches.</p>
          )}
        </div>
      ) : (
        <EmptyState>
          <p>
            No params yet. In the program: <code>experiment.params.set(lr=0.1)</code>
          </p>
        </EmptyState>
      )}
    </DataPanel>
  );
}

function asTable(params: readonly (readonly [string, Json])[]): string {
  return params.map(([name, value]) => `${name}\t${plainValue(value)}\n`).join("");
}

/** Chooses the record that is shown beside this one, among those in the same folder of prefixes. */
function ComparePicker({ record, picked }: { record: RecordAddress; picked: string | null }) {
  const above = record.prefix.split("/").slice(0, -1).join("/");
  const { document } = useDocument<RecordsDocument>(
    `/v1/views/records?${new URLSearchParams({ prefix: above, limit: "200" })}`,
  );
  const others = (document?.records ?? [])
    .map((each) => each.prefix)
    .filter((prefix) => prefix !== record.prefix);
  const listed = picked && !others.includes(picked) ? [picked, ...others] : others;
  if (!listed.length) return null;
  return (
    <select
      class="field"
      aria-label="Compare with another record"
      value={picked ?? ""}
      onChange={({ currentTarget: { value } }) => navigate(withQuery({ with: value || null }))}
    >
      <option value="">{picked ? "this one alone" : "compare with…"}</option>
      {listed.map((prefix) => (
        <option key={prefix} value={prefix}>
          {visibleText(prefix.startsWith(`${above}/`) ? prefix.slice(above.length + 1) : prefix)}
        </option>
      ))}
    </select>
  );
}
