import { useEffect, useRef, useState } from "preact/hooks";
import type { RmDocument } from "../api/documents/rm";
import { pauseDocuments } from "../api/useDocument";
import { navigate } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Dialog } from "../ui/Dialog";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { commandLine } from "../ui/quoting";
import type { LabelProps } from "./LabelDialogs";
import { useAction } from "./useAction";

export interface RemoveProps extends LabelProps {
  readonly kind: "experiment" | "record";
  /** The list, which is shown once it is removed. */
  readonly list: string;
}

/** Moves an experiment or a record to the trash, after it has said what that is, and says how to restore it. */
export function RemoveDialog({ name, path, kind, list, onLeave }: RemoveProps) {
  const act = useAction();
  const [hasRecords, setRecords] = useState(false);
  const [plan, setPlan] = useState<RmDocument | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [isRemoved, setRemoved] = useState(false);
  const isExperiment = kind === "experiment";
  const resume = useRef(() => {});
  useEffect(() => () => resume.current(), []);
  useEffect(() => {
    act<RmDocument>(path, { ...(isExperiment ? { records: true } : {}), dry_run: true }).then(
      setPlan,
      setProblem,
    );
  }, [path]);
  if (isRemoved) {
    const leave = () => {
      onLeave();
      navigate(list);
    };
    return (
      <Dialog title="It is in the trash" onLeave={leave}>
        <p>
          <bdi class="mono">{name}</bdi> stays there for 30 days at least. This puts it back:
        </p>
        <p class="action-after">
          <CommandHint command={commandLine("exp", "rm", "--restore", name)} />
        </p>
        <p class="confirm-buttons">
          <button type="button" class="button main" onClick={leave}>
            To the list
          </button>
        </p>
      </Dialog>
    );
  }
  const records = plan?.removed.filter((item) => item.kind === "record").length ?? 0;
  const options = isExperiment && hasRecords ? ["--records"] : [];
  return (
    <ConfirmDialog
      title={`Remove ${name}?`}
      act="Move to the trash"
      acting="Moving…"
      leave="Keep it"
      isDangerous
      isReady={plan !== null}
      staysAfterAct
      onAct={async () => {
        resume.current = pauseDocuments(path.replace("/v1/control/", "/v1/views/").replace(/\/rm$/, ""));
        try {
          await act<RmDocument>(path, isExperiment ? { records: hasRecords } : {});
        } catch (error) {
          resume.current();
          throw error;
        }
        setRemoved(true);
      }}
      onLeave={onLeave}
    >
      {problem ? <ErrorNote error={problem} what={`This ${kind} cannot be removed now.`} /> : null}
      {plan ? (
        <>
          <p>
            {isExperiment ? "Its folder, with the ledger and all logs, goes" : "All that it tracked goes"} to
            the trash of the server's home. Nothing is deleted yet.
          </p>
          {isExperiment && records ? (
            <label class="action-check">
              <input
                type="checkbox"
                checked={hasRecords}
                onChange={(event) => setRecords(event.currentTarget.checked)}
              />
              Also the {records === 1 ? "record" : `${count(records)} records`} that only it wrote
            </label>
          ) : null}
          {plan.kept.map((kept) => (
            <p key={kept.prefix} class="action-note">
              <bdi class="mono">{kept.prefix}</bdi> stays: {kept.message}.
            </p>
          ))}
        </>
      ) : null}
      <CommandHint command={commandLine("exp", "rm", name, ...options)} />
    </ConfirmDialog>
  );
}
