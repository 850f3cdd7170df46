import { useState } from "preact/hooks";
import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { mayControl, whoami } from "../api/whoami";
import { MenuButton } from "../ui/MenuButton";
import { CancelDialog } from "./CancelDialog";
import { NoteDialog, TagDialog } from "./LabelDialogs";
import { RerunDialog, ResumeDialog } from "./PlanDialogs";
import { RemoveDialog } from "./RemoveDialog";
import { experimentAction } from "./useAction";
import { whyNot } from "./whyNot";
import "./actions.css";

export interface ActionsProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
}

type Action = "cancel" | "resume" | "rerun" | "tag" | "note" | "rm";

/** What the user may do with an experiment; without the scope `control` the menu says why there is nothing. */
export function ExperimentActions({ experiment, status }: ActionsProps) {
  const [shown, show] = useState<Action | null>(null);
  const leave = () => show(null);
  if (!mayControl.value) {
    const reason = whyNot(whoami.value);
    return reason === null ? null : (
      <MenuButton label={<Dots />} name="Actions" class="button action-menu" side="end">
        <p class="menu-note">{reason}</p>
      </MenuButton>
    );
  }
  const isRunning = status.status === "RUNNING";
  const mayResume = !isRunning && status.status !== "COMPLETED";
  return (
    <span class="action-buttons">
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
      <MenuButton label={<Dots />} name="More actions" class="button action-menu" side="end">
        <button type="button" onClick={() => show("tag")}>
          Tags…
        </button>
        <button type="button" onClick={() => show("note")}>
          Note…
        </button>
        <button type="button" disabled={isRunning} onClick={() => show("rm")}>
          Move to the trash…
        </button>
        {isRunning ? <p class="menu-note">What runs is not removed: cancel it first.</p> : null}
      </MenuButton>
      {shown === "cancel" ? <CancelDialog experiment={experiment} status={status} onLeave={leave} /> : null}
      {shown === "resume" ? <ResumeDialog experiment={experiment} status={status} onLeave={leave} /> : null}
      {shown === "rerun" ? <RerunDialog experiment={experiment} status={status} onLeave={leave} /> : null}
      {shown === "tag" ? (
        <TagDialog
          name={status.id}
          path={experimentAction(experiment, "tag")}
          tags={status.tags}
          onLeave={leave}
        />
      ) : null}
      {shown === "note" ? (
        <NoteDialog
          name={status.id}
          path={experimentAction(experiment, "note")}
          notes={status.notes ?? []}
          onLeave={leave}
        />
      ) : null}
      {shown === "rm" ? (
        <RemoveDialog
          name={status.id}
          path={experimentAction(experiment, "rm")}
          kind="experiment"
          list="/"
          onLeave={leave}
        />
      ) : null}
    </span>
  );
}

/** Three dots. */
export function Dots() {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="currentColor">
      <circle cx="3" cy="8" r="1.4" />
      <circle cx="8" cy="8" r="1.4" />
      <circle cx="13" cy="8" r="1.4" />
    </svg>
  );
}
