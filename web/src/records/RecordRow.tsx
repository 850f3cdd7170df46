import type { RowState } from "../lists/ListTable";
import { RowMark } from "../lists/RowMark";
import { Tags } from "../lists/Tags";
import { Age, Duration } from "../ui/Age";
import { StatusMark } from "../ui/StatusMark";
import { labelText } from "../ui/shownTexts";
import { visibleText } from "../ui/visibleText";
import { below, type Entry, notesOf } from "./note";

/** What names a row: the prefix. */
export function rowId({ prefix }: Entry): string {
  return prefix;
}

export interface RowProps extends RowState {
  readonly entry: Entry;
  readonly href: string;
  /** The prefix of the list, which is not repeated. */
  readonly folder: string;
}

/** One record in a list; the row is one link. */
export function RecordRow({ entry, href, folder, isPicked, isStop, isMarked, hasMarks }: RowProps) {
  const { status, prefix } = entry;
  const isOver = entry.ended !== null;
  return (
    <tr class="list-row" data-row={rowId(entry)} aria-selected={isPicked}>
      <td class="cell-mark">
        <RowMark id={rowId(entry)} isMarked={isMarked} isShown={hasMarks} />
        <StatusMark status={status} />
      </td>
      <td class={`cell-word status-word status-${status}`} aria-hidden="true">
        {status}
      </td>
      <td class="cell-name">
        <span class="records-name">
          <a href={href} tabIndex={isStop ? 0 : -1} title={prefix} aria-label={below(prefix, folder)}>
            <Prefix text={below(prefix, folder)} />
          </a>
          {entry.description ? (
            <span class="records-about" dir="auto">
              {labelText(entry.description, 400)}
            </span>
          ) : null}
        </span>
      </td>
      <td class="column-note">
        <Notes entry={entry} />
      </td>
      <td class="column-experiment" title={entry.experiment ?? undefined}>
        {entry.experiment}
      </td>
      <td class="column-tags">
        <Tags tags={entry.tags} />
      </td>
      <td class="column-openings">{entry.openings.length > 1 ? entry.openings.length : null}</td>
      <td class="column-duration">
        {isOver || status === "RUNNING" ? <Duration begin={entry.opened} end={entry.ended} /> : null}
      </td>
      <td class="column-age">{entry.opened ? <Age time={entry.opened} /> : null}</td>
    </tr>
  );
}

/** A prefix whose last part is never cut before the others are. */
export function Prefix({ text }: { text: string }) {
  const at = text.lastIndexOf("/") + 1;
  return (
    <span class="records-prefix" dir="auto">
      <span class="records-folder">{visibleText(text.slice(0, at))}</span>
      <span class="records-last">{visibleText(text.slice(at))}</span>
    </span>
  );
}

function Notes({ entry }: { entry: Entry }) {
  const notes = notesOf(entry);
  return (
    <span title={notes.map(({ text }) => text).join(" · ")}>
      {notes.map(({ text, isUncertain }, place) => (
        <span key={text} class={isUncertain ? "records-uncertain" : undefined}>
          {place ? " · " : null}
          {text}
        </span>
      ))}
    </span>
  );
}
