import { useEffect, useState } from "preact/hooks";
import { experimentHref } from "../api/addresses";
import type { PlanDocument } from "../api/documents/plan";
import type { ResumeDocument } from "../api/documents/resume";
import type { RunDocument } from "../api/documents/run";
import { navigate } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import type { DialogProps } from "./dialogs";
import { planRows, resumeRows, resumeText } from "./planRows";
import { experimentAction, useAction } from "./useAction";

/** What a dry run says, once it has been asked for. */
function useDryRun<Document>(path: string, body: object) {
  const act = useAction();
  const [document, setDocument] = useState<Document | null>(null);
  const [error, setError] = useState<unknown>(null);
  const asked = JSON.stringify(body);
  useEffect(() => {
    let isWanted = true;
    setError(null);
    act<Document>(path, { ...JSON.parse(asked), dry_run: true }).then(
      (found) => isWanted && setDocument(found),
      (problem) => isWanted && setError(problem),
    );
    return () => {
      isWanted = false;
    };
  }, [path, asked]);
  return { document, error };
}

/** Shows what a resume would do, and does it. */
export function ResumeDialog({ experiment, status, task, onLeave }: DialogProps) {
  const act = useAction();
  const path = experimentAction(experiment, "resume");
  const body = task === undefined ? {} : { from: [task] };
  const { document, error } = useDryRun<ResumeDocument>(path, body);
  const rows = document ? resumeRows(document.tasks) : [];
  const options = task === undefined ? [] : ["--from", task];
  return (
    <ConfirmDialog
      title={`Resume ${status.id}?`}
      act={document ? resumeText(document.tasks) : "Resume"}
      acting="Resuming…"
      leave="Leave it"
      isReady={document !== null}
      onAct={() => act<RunDocument>(path, body)}
      onLeave={onLeave}
    >
      <Waiting document={document} error={error} />
      {document ? (
        <div class="action-table">
          <table>
            <thead>
              <tr>
                <th>Task</th>
                <th>What</th>
                <th class="action-number">Attempt</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id} class={`action-${row.action}`}>
                  <td class="mono" dir="auto">
                    {row.id}
                    {row.more ? <span class="action-more"> and {count(row.more)} more</span> : null}
                  </td>
                  <td>{row.action}</td>
                  <td class="action-number">{row.more ? "" : row.attempt}</td>
                  <td dir="auto">{row.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
      <CommandHint command={commandLine("exp", "resume", ...options, status.id)} />
    </ConfirmDialog>
  );
}

/** Shows what a rerun would start, and starts it. */
export function RerunDialog({ experiment, status, onLeave }: DialogProps) {
  const act = useAction();
  const path = experimentAction(experiment, "rerun");
  const { document, error } = useDryRun<PlanDocument>(path, {});
  const rows = document ? planRows(document.tasks) : [];
  const total = document?.tasks.length ?? 0;
  return (
    <ConfirmDialog
      title={`Run ${status.name} again?`}
      act={document ? `Run ${count(total)} ${total === 1 ? "task" : "tasks"}` : "Run"}
      acting="Starting…"
      leave="Leave it"
      isReady={document !== null}
      onAct={async () => {
        const started = await act<RunDocument>(path, {});
        navigate(experimentHref({ ...experiment, id: started.id }));
      }}
      onLeave={onLeave}
    >
      <Waiting document={document} error={error} />
      {document ? (
        <>
          <p class="action-note">
            A new experiment, from the spec of <code>{status.id}</code> as it was stored.
          </p>
          <div class="action-table">
            <table>
              <thead>
                <tr>
                  <th>Task</th>
                  <th>Executor</th>
                  <th>After</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.id}>
                    <td class="mono" dir="auto">
                      {row.id}
                      {row.members > 1 ? <span class="action-more"> ×{count(row.members)}</span> : null}
                    </td>
                    <td>{row.executor}</td>
                    <td class="mono" dir="auto">
                      {row.after}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      ) : null}
      <CommandHint command={commandLine("exp", "rerun", status.id)} />
    </ConfirmDialog>
  );
}

function Waiting({ document, error }: { document: unknown; error: unknown }) {
  if (error) return <ErrorNote error={error} what="The dry run says:" />;
  return document ? null : <p class="action-note">Asking what would run…</p>;
}
