import type { RowState } from "../lists/ListTable";
import { RowMark } from "../lists/RowMark";
import { Tags } from "../lists/Tags";
import { Age } from "../ui/Age";
import { now } from "../ui/clock";
import { absolute, count, duration } from "../ui/format";
import { ProgressBar } from "../ui/ProgressBar";
import { StatusMark } from "../ui/StatusMark";
import { labelText } from "../ui/shownTexts";
import { type Entry, noteOf } from "./note";

/** What names a row: OWNER/HOME/ID. */
export function rowId({ owner, home, id }: Entry): string {
  return `${owner}/${home}/${id}`;
}

export interface RowProps extends RowState {
  readonly entry: Entry;
  readonly href: string;
  /** What a click on a row that is not picked does; null if it opens the experiment. */
  readonly onPick: ((id: string) => void) | null;
}

/** One experiment in a list; the row is one link. */
export function ExperimentRow({ entry, href, isPicked, isStop, isMarked, hasMarks, onPick }: RowProps) {
  const status = entry.status ?? "UNREADABLE";
  const id = rowId(entry);
  const about = entry.title ?? entry.description;
  const click = (event: MouseEvent) => {
    if (!onPick || isPicked || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    onPick(id);
  };
  return (
    <tr class="list-row" data-row={id} aria-selected={isPicked}>
      <td class="cell-mark">
        <RowMark id={id} isMarked={isMarked} isShown={hasMarks} />
        <StatusMark status={status} />
      </td>
      <td class={`cell-word status-word status-${status}`} aria-hidden="true">
        {status}
      </td>
      <td class="cell-name">
        <span class="experiments-name">
          <a href={href} tabIndex={isStop ? 0 : -1} aria-label={entry.id} onClick={click}>
            <ExperimentId id={entry.id} />
          </a>
          {about ? (
            <span class="experiments-about" dir="auto">
              {labelText(about, 400)}
            </span>
          ) : null}
        </span>
      </td>
      <td class="cell-tasks">
        <Tasks entry={entry} />
      </td>
      <td class="column-owner">{entry.owner}</td>
      <td class="column-executor">{entry.executors?.join(", ")}</td>
      <td class="column-tags">
        <Tags tags={entry.tags} />
      </td>
      <td class="column-duration">
        <Taken entry={entry} />
      </td>
      <td class="column-age">{entry.created ? <Age time={entry.created} /> : null}</td>
    </tr>
  );
}

/** An id: its name, and the second of its creation, which is never cut. */
export function ExperimentId({ id }: { id: string }) {
  const at = id.lastIndexOf("_");
  return (
    <span class="experiments-id">
      <span class="experiments-id-name">{id.slice(0, at)}</span>
      <span class="experiments-id-time">{id.slice(at)}</span>
    </span>
  );
}

function Tasks({ entry }: { entry: Entry }) {
  const total = Object.values(entry.counts).reduce((sum, one) => sum + one, 0);
  const { failed, rest } = noteOf(entry);
  const isWell = entry.status === "COMPLETED";
  return (
    <span class="tasks-cell">
      <span class="tasks-count">
        {total ? `${count(entry.counts.SUCCEEDED ?? 0)}/${count(total)}` : null}
      </span>
      {!isWell && total ? <ProgressBar counts={entry.counts} /> : null}
      {isWell ? null : (
        <span class="tasks-note" title={[failed, ...rest].filter(Boolean).join(" · ")}>
          {failed ? <span class="tasks-failed">{failed}</span> : null}
          {failed && rest.length ? " · " : null}
          {rest.join(" · ")}
        </span>
      )}
    </span>
  );
}

/** The time without pauses that it took; it grows while it runs. */
function Taken({ entry }: { entry: Entry }) {
  const title = entry.ended ? `ended ${absolute(entry.ended)}` : undefined;
  if (entry.status === "RUNNING" && typeof entry.active === "number") return <Growing entry={entry} />;
  if (typeof entry.active === "number") return <span title={title}>{brief(entry.active)}</span>;
  if (!entry.created || !entry.ended) return null;
  return <span title={title}>{brief((Date.parse(entry.ended) - Date.parse(entry.created)) / 1000)}</span>;
}

const seen = new WeakMap<Entry, number>();

function Growing({ entry }: { entry: Entry }) {
  const first = seen.get(entry) ?? Date.now();
  seen.set(entry, first);
  return <>{duration((entry.active ?? 0) + Math.max(0, now.value - first) / 1000)}</>;
}

function brief(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)}s` : duration(seconds);
}
