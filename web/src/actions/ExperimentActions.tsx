import { useState } from "preact/hooks";
import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { CancelDialog } from "./CancelDialog";
import { LabelActions } from "./LabelActions";
import { RerunDialog, ResumeDialog } from "./PlanDialogs";
import { experimentAction } from "./useAction";

export interface ActionsProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
}

/** What the user may do with an experiment. */
export function ExperimentActions({ experiment, status }: ActionsProps) {
  const [shown, show] = useState<"cancel" | "resume" | "rerun" | null>(null);
  const leave = () => show(null);
  const isRunning = status.status === "RUNNING";
  const mayResume = !isRunning && status.status !== "COMPLETED";
  return (
    <LabelActions
      name={status.id}
      kind="experiment"
      pathOf={(action) => experimentAction(experiment, action)}
      tags={status.tags}
      notes={status.notes ?? []}
      isKept={isRunning ? "What runs is not removed: cancel it first." : null}
      list="/"
    >
      {mayResume ? (
        <button type="button" class="button" onClick={() => show("resume")}>
          Resume…
        </button>
      ) : null}
      <button type="button" class="button" onClick={() => show("rerun")}>
        Rerun…
      </button>
      {isRunning ? (
        <button type="button" class="button dangerous" onClick={() => show("cancel")}>
          Cancel…
        </button>
      ) : null}
      {shown === "cancel" ? <CancelDialog experiment={experiment} status={status} onLeave={leave} /> : null}
      {shown === "resume" ? <ResumeDialog experiment={experiment} status={status} onLeave={leave} /> : null}
      {shown === "rerun" ? <RerunDialog experiment={experiment} status={status} onLeave={leave} /> : null}
    </LabelActions>
  );
}
