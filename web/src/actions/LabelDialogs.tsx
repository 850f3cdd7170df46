import { useState } from "preact/hooks";
import type { NoteDocument } from "../api/documents/note";
import type { TagDocument } from "../api/documents/tag";
import { CommandHint } from "../ui/CommandHint";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { absolute } from "../ui/format";
import { commandLine } from "../ui/quoting";
import { visibleText } from "../ui/visibleText";
import { useAction } from "./useAction";

export interface LabelProps {
  /** What the command names it: an id or a prefix. */
  readonly name: string;
  /** The address of the action. */
  readonly path: string;
  onLeave(): void;
}

/** Adds tags and takes them away. */
export function TagDialog({ name, path, tags, onLeave }: LabelProps & { readonly tags: readonly string[] }) {
  const act = useAction();
  const [removed, setRemoved] = useState<readonly string[]>([]);
  const [typed, setTyped] = useState("");
  const add = [...new Set(typed.split(",").map((tag) => tag.trim()))].filter(
    (tag) => tag && !tags.includes(tag),
  );
  const toggle = (tag: string) =>
    setRemoved(removed.includes(tag) ? removed.filter((one) => one !== tag) : [...removed, tag]);
  const words = [...add.map((tag) => `+${tag}`), ...removed.map((tag) => `-${tag}`)];
  return (
    <ConfirmDialog
      title={`Tags of ${name}`}
      act="Save tags"
      acting="Saving…"
      leave="Leave it"
      isReady={words.length > 0}
      onAct={() => act<TagDocument>(path, { add, remove: removed })}
      onLeave={onLeave}
    >
      {tags.length ? (
        <fieldset class="action-tags">
          <legend>Keep</legend>
          {tags.map((tag) => (
            <label key={tag}>
              <input type="checkbox" checked={!removed.includes(tag)} onChange={() => toggle(tag)} />
              <bdi>{visibleText(tag)}</bdi>
            </label>
          ))}
        </fieldset>
      ) : null}
      <label class="action-field">
        <span>Add, with commas between them</span>
        <input
          type="text"
          autocomplete="off"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      {words.length ? <CommandHint command={commandLine("exp", "tag", name, ...words)} /> : null}
    </ConfirmDialog>
  );
}

export type Notes = readonly { readonly time: string; readonly by: string; readonly text: string }[];

/** Adds a note to those that are there. */
export function NoteDialog({ name, path, notes, onLeave }: LabelProps & { readonly notes: Notes }) {
  const act = useAction();
  const [text, setText] = useState("");
  return (
    <ConfirmDialog
      title={`Note on ${name}`}
      act="Add note"
      acting="Adding…"
      leave="Leave it"
      isReady={text.trim() !== ""}
      onAct={() => act<NoteDocument>(path, { text })}
      onLeave={onLeave}
    >
      {notes.length ? (
        <ul class="action-notes">
          {notes.map((note) => (
            <li key={`${note.time} ${note.by}`}>
              <p dir="auto">{visibleText(note.text)}</p>
              <p class="action-note">
                <bdi>{note.by.split(/ via |@/, 1)[0]}</bdi>
                {note.time ? `, ${absolute(note.time)}` : null}
              </p>
            </li>
          ))}
        </ul>
      ) : null}
      <label class="action-field">
        <span>Text</span>
        <textarea rows={4} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <CommandHint command={`${commandLine("exp", "note", name)} -`} />
    </ConfirmDialog>
  );
}
