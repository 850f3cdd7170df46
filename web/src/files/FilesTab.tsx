import { useEffect, useState } from "preact/hooks";
import { experimentDocument, experimentName } from "../api/addresses";
import type { FilesDocument } from "../api/documents/files";
import { useDocument } from "../api/useDocument";
import { withQuery } from "../app/route";
import type { TabProps } from "../experiment/tabs";
import { DataPanel } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, plainValue } from "../ui/exactJson";
import { LongText } from "../ui/LongText";
import { visibleText } from "../ui/visibleText";
import { FilesPanel } from "./FilesPanel";
import "./FilesTab.css";

const MOST_WATCHED = 12; // records: the topics of a stream are few
const EVERY = 10_000; // milliseconds between two looks for the first file of a record, which no topic tells

/** The files that an experiment's tasks saved, and the outputs of its tasks. */
export function FilesTab({ experiment, status }: TabProps) {
  const [open, setOpen] = useState<readonly string[]>([]);
  const { document, error, reload } = useDocument<FilesDocument>(experimentDocument(experiment, "files"), [
    `experiment:${experimentName(experiment)}`,
    "records",
    ...open,
  ]);
  const watched = document ? openRecords(document.files).join("\n") : "";
  useEffect(() => setOpen(watched ? watched.split("\n") : []), [watched]);
  const isRunning = status.status === "RUNNING";
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(reload, EVERY);
    return () => clearInterval(timer);
  }, [isRunning]);
  return (
    <div class="files-tab">
      {document ? (
        <FilesPanel files={document.files} />
      ) : error ? (
        <ErrorNote error={error} retry={reload} />
      ) : null}
      <Outputs tasks={status.tasks} />
    </div>
  );
}

/** The topics of the records with files that are still written. */
function openRecords(files: FilesDocument["files"]): string[] {
  const open = files.filter((file) => file.status === "RUNNING");
  return [...new Set(open.map((file) => `record:${file.prefix}`))].slice(0, MOST_WATCHED);
}

function Outputs({ tasks }: { tasks: TabProps["status"]["tasks"] }) {
  const rows = tasks.flatMap((task) =>
    Object.entries(task.outputs as Record<string, Json>).map(([name, value]) => ({
      task: task.id,
      name,
      value,
    })),
  );
  if (!rows.length) return null;
  return (
    <DataPanel title="Outputs" about="of the latest attempts, from $EXP_OUTPUT">
      <div class="table-scroll">
        <table class="data-table">
          <thead>
            <tr>
              <th scope="col">Task</th>
              <th scope="col">Output</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ task, name, value }) => (
              <tr key={`${task}\n${name}`}>
                <td class="mono">
                  <a class="link" href={withQuery({ tab: "tasks", task })}>
                    {visibleText(task)}
                  </a>
                </td>
                <td class="mono">{visibleText(name)}</td>
                <td class="mono" dir="auto">
                  <LongText text={plainValue(value)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </DataPanel>
  );
}
