import type { ComponentChildren } from "preact";
import { RecordActions } from "../actions/RecordActions";
import { experimentHref, type RecordAddress, recordHref } from "../api/addresses";
import type { ListDocument } from "../api/documents/list";
import type { RecordViewDocument } from "../api/documents/record-view";
import { useDocument } from "../api/useDocument";
import { CopyButton } from "../ui/CopyButton";
import { absolute, age } from "../ui/format";
import { LongText } from "../ui/LongText";
import { StatusWord } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { lateFacts, openingsFact, prefixParts } from "./recordFacts";
import { entryOf } from "./recordTabs";

export interface RecordHeadProps {
  readonly record: RecordAddress;
  readonly view: RecordViewDocument;
  /** What stands at its right. */
  readonly children: ComponentChildren;
}

/** The prefix, the status, and what people and programs said of a record. */
export function RecordHead({ record, view, children }: RecordHeadProps) {
  const entry = entryOf(view);
  const parts = prefixParts(record.prefix);
  return (
    <header class="record-head">
      <div class="record-row">
        <h1 class="record-heading" aria-label={record.prefix}>
          {parts.map((part, index) =>
            index < parts.length - 1 ? (
              <span key={part.path}>
                <a href={`/records?${new URLSearchParams({ prefix: part.path })}`}>
                  {visibleText(part.name)}
                </a>
                <span class="record-heading-slash"> / </span>
              </span>
            ) : (
              <bdi key={part.path}>{visibleText(part.name)}</bdi>
            ),
          )}
        </h1>
        <CopyButton text={record.prefix} label="Copy the prefix" />
        <StatusWord status={entry.status} />
        <span class="record-fact">{openingsFact(entry)}</span>
        {lateFacts(entry, view).map((fact) => (
          <span key={fact} class="record-late">
            {fact}
          </span>
        ))}
        {entry.message ? (
          <span class={entry.status === "FAILED" ? "record-problem" : "record-fact"}>
            <LongText text={entry.message} />
          </span>
        ) : null}
        <div class="record-command">
          {children}
          <RecordActions record={record} status={entry.status} tags={entry.tags} notes={entry.notes ?? []} />
        </div>
      </div>
      <p class="record-summary">
        <span title={absolute(entry.opened)}>opened {age(entry.opened)} ago</span>
        {entry.ended ? <span title={absolute(entry.ended)}>ended {age(entry.ended)} ago</span> : null}
        <OfExperiment view={view} />
        {entry.tags.length ? (
          <span>
            <LongText text={entry.tags.join(", ")} most={200} />
          </span>
        ) : null}
        {entry.bindrs.length ? (
          <span>
            bindrs <LongText text={entry.bindrs.join(", ")} most={200} />
          </span>
        ) : null}
        <span title="The folder of records">in {visibleText(entry.dash_root)}</span>
      </p>
      {entry.description ? (
        <p class="record-description" dir="auto">
          <LongText text={entry.description} most={1_000} />
        </p>
      ) : null}
      {(entry.notes ?? []).map((note) => (
        <p key={`${note.time} ${note.text}`} class="record-note">
          <b>{visibleText(note.by)}</b> <LongText text={note.text} />{" "}
          {note.time ? <span title={absolute(note.time)}>{age(note.time)} ago</span> : null}
        </p>
      ))}
      {view.elsewhere?.length ? (
        <p class="record-note">
          Another record has this prefix:{" "}
          {view.elsewhere.map((other) => (
            <a key={other.root} class="link" href={recordHref({ prefix: record.prefix, root: other.root })}>
              {visibleText(other.dash_root)}
            </a>
          ))}
        </p>
      ) : null}
    </header>
  );
}

/** The experiment and the task that wrote it last. */
function OfExperiment({ view }: { view: RecordViewDocument }) {
  const last = entryOf(view).openings.at(-1);
  const id = last?.experiment ?? null;
  const { document } = useDocument<ListDocument>(
    id ? `/v1/views/experiments?${new URLSearchParams({ text: id, limit: "20" })}` : null,
  );
  if (!id) return null;
  const found = document?.experiments.find((each) => each.id === id);
  const task = last?.task;
  if (!found?.owner || !found.home) return <span>of {visibleText(task ? `${id} ${task}` : id)}</span>;
  const href = experimentHref({ owner: found.owner, home: found.home, id });
  return (
    <span>
      of{" "}
      <a class="link mono" href={href}>
        {id}
      </a>
      {task ? (
        <>
          {" "}
          <a class="link mono" href={`${href}?${new URLSearchParams({ task })}`}>
            {visibleText(task)}
          </a>
        </>
      ) : null}
    </span>
  );
}
