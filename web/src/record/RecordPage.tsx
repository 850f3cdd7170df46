import { type RecordAddress, recordDocument } from "../api/addresses";
import type { RecordViewDocument } from "../api/documents/record-view";
import { useDocument } from "../api/useDocument";
import { route, withQuery } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { Part } from "../ui/Part";
import { RecordHead } from "./RecordHead";
import { RECORD_TABS, recordCommand } from "./recordTabs";
import "./RecordPage.css";

/** One record: what it is, its state, and the tabs of what it has. */
export function RecordPage({ record }: { record: RecordAddress }) {
  return <Shown key={`${record.root ?? ""}\n${record.prefix}`} record={record} />;
}

function Shown({ record }: { record: RecordAddress }) {
  const { document, error, reload } = useDocument<RecordViewDocument>(recordDocument(record, ""), [
    `record:${record.prefix}`,
  ]);
  if (!document) {
    return error ? (
      <div class="record-body">
        <h1 class="record-name">{record.prefix}</h1>
        <ErrorNote error={error} retry={reload} />
      </div>
    ) : null;
  }
  const name = route.value.query.get("tab");
  const picked = RECORD_TABS.find((tab) => tab.name === name) ?? RECORD_TABS[0];
  const shown = RECORD_TABS.filter((tab) => tab === picked || !tab.isOptional || tab.count(document));
  return (
    <>
      <div class="record-top">
        <RecordHead record={record} view={document}>
          {picked ? <CommandHint command={recordCommand(picked.command, document)} /> : null}
        </RecordHead>
        <nav class="record-tabs" aria-label="Parts of this record">
          {shown.map((tab) => {
            const amount = tab.count(document);
            return (
              <a
                key={tab.name}
                href={withQuery({ tab: tab === RECORD_TABS[0] ? null : tab.name })}
                aria-current={tab === picked ? "page" : undefined}
              >
                {tab.label}
                {amount ? <span class="record-tabs-count"> {count(amount)}</span> : null}
              </a>
            );
          })}
        </nav>
      </div>
      <div class="record-body">
        {picked ? <Part key={picked.name} load={picked.load} record={record} view={document} /> : null}
      </div>
    </>
  );
}
