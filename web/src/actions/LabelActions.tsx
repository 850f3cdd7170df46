import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { mayControl, whoami } from "../api/whoami";
import { MenuButton } from "../ui/MenuButton";
import { NoteDialog, type Notes, TagDialog } from "./LabelDialogs";
import { RemoveDialog } from "./RemoveDialog";
import { whyNot } from "./whyNot";
import "./actions.css";

export interface LabelActionsProps {
  /** The id of the experiment, or the prefix of the record. */
  readonly name: string;
  readonly kind: "experiment" | "record";
  /** The address of an action on it. */
  pathOf(action: string): string;
  readonly tags: readonly string[];
  readonly notes: Notes;
  /** Why it cannot be removed now; null if it can. */
  readonly isKept: string | null;
  /** The view after it was removed. */
  readonly list: string;
  /** What else the user may do with it, before the menu. */
  readonly children?: ComponentChildren;
}

/** What the user may do with an experiment or a record: tags, a note, the trash; without the scope `control` why not. */
export function LabelActions(props: LabelActionsProps) {
  const { name, kind, pathOf, isKept } = props;
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
  const menu = props.children ? "More actions" : "Actions";
  return (
    <span class="action-buttons">
      {props.children}
      <MenuButton label={<Dots />} name={menu} class="button action-menu" side="end">
        <button type="button" onClick={() => show("tag")}>
          Tags…
        </button>
        <button type="button" onClick={() => show("note")}>
          Note…
        </button>
        <button type="button" disabled={isKept !== null} onClick={() => show("rm")}>
          Move to the trash…
        </button>
        {isKept === null ? null : <p class="menu-note">{isKept}</p>}
      </MenuButton>
      {shown === "tag" ? (
        <TagDialog name={name} path={pathOf("tag")} tags={props.tags} onLeave={leave} />
      ) : null}
      {shown === "note" ? (
        <NoteDialog name={name} path={pathOf("note")} notes={props.notes} onLeave={leave} />
      ) : null}
      {shown === "rm" ? (
        <RemoveDialog name={name} path={pathOf("rm")} kind={kind} list={props.list} onLeave={leave} />
      ) : null}
    </span>
  );
}

/** Three dots. */
function Dots() {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="currentColor">
      <circle cx="3" cy="8" r="1.4" />
      <circle cx="8" cy="8" r="1.4" />
      <circle cx="13" cy="8" r="1.4" />
    </svg>
  );
}
