import { useState } from "preact/hooks";
import type { RecordAddress } from "../api/addresses";
import { mayControl, whoami } from "../api/whoami";
import { MenuButton } from "../ui/MenuButton";
import { Dots } from "./ExperimentActions";
import { NoteDialog, type Notes, TagDialog } from "./LabelDialogs";
import { RemoveDialog } from "./RemoveDialog";
import { recordAction } from "./useAction";
import { whyNot } from "./whyNot";
import "./actions.css";

export interface RecordActionsProps {
  readonly record: RecordAddress;
  readonly status: string;
  readonly tags: readonly string[];
  readonly notes: Notes;
}

/** What the user may do with a record: tags, a note, the trash. */
export function RecordActions({ record, status, tags, notes }: RecordActionsProps) {
  const [shown, show] = useState<"tag" | "note" | "rm" | null>(null);
  const leave = () => show(null);
  if (!mayControl.value) {
    const reason = whyNot(whoami.value);
    return reason === null ? null : (
      <MenuButton label={<Dots />} name="Actions" class="button action-menu" side="end">
        <p class="menu-note">{reason}</p>
      </MenuButton>
    );
  }
  const isRunning = status === "RUNNING";
  const { prefix } = record;
  return (
    <span class="action-buttons">
      <MenuButton label={<Dots />} name="Actions" class="button action-menu" side="end">
        <button type="button" onClick={() => show("tag")}>
          Tags…
        </button>
        <button type="button" onClick={() => show("note")}>
          Note…
        </button>
        <button type="button" disabled={isRunning} onClick={() => show("rm")}>
          Move to the trash…
        </button>
        {isRunning ? <p class="menu-note">What runs is not removed.</p> : null}
      </MenuButton>
      {shown === "tag" ? (
        <TagDialog name={prefix} path={recordAction(record, "tag")} tags={tags} onLeave={leave} />
      ) : null}
      {shown === "note" ? (
        <NoteDialog name={prefix} path={recordAction(record, "note")} notes={notes} onLeave={leave} />
      ) : null}
      {shown === "rm" ? (
        <RemoveDialog
          name={prefix}
          path={recordAction(record, "rm")}
          kind="record"
          list="/records"
          onLeave={leave}
        />
      ) : null}
    </span>
  );
}
