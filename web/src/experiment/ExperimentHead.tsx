import { ExperimentActions } from "../actions/ExperimentActions";
import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import { CommandHint } from "../ui/CommandHint";
import { CopyButton } from "../ui/CopyButton";
import { absolute, count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { commandLine } from "../ui/quoting";
import { author, type Fact, factsOf } from "./facts";
import { StatusSentence } from "./StatusSentence";
import { isAbandoned } from "./sentences";
import "./ExperimentHead.css";

interface HeadProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  readonly timeline: TimelineDocument | null;
}

/** What an experiment is, and how it stands. */
export function ExperimentHead({ experiment, status, timeline }: HeadProps) {
  const notes = status.notes ?? [];
  return (
    <header class="experiment-head">
      <div class="experiment-title">
        <Identity status={status} />
        <div class="experiment-buttons">
          <CommandHint command={headCommand(status)} />
          <ExperimentActions experiment={experiment} status={status} />
        </div>
      </div>
      <StatusSentence status={status} />
      <p class="experiment-facts">
        {factsOf(status, timeline).map((fact) => (
          <FactText key={fact.text} fact={fact} />
        ))}
      </p>
      {status.description ? (
        <p class="experiment-description" dir="auto">
          <LongText text={status.description} most={1_000} />
        </p>
      ) : null}
      {notes.length ? <Notes notes={notes} /> : null}
    </header>
  );
}

function Identity({ status }: { status: StatusDocument }) {
  const { id, name, title } = status;
  const isPlain = id.startsWith(name);
  return (
    <h1 class="experiment-id">
      <span>
        {isPlain ? name : id}
        {isPlain ? <span class="experiment-unixtime">{id.slice(name.length)}</span> : null}
      </span>
      <CopyButton text={id} label="Copy the id" />
      {title ? (
        <span class="experiment-subtitle" dir="auto">
          <LongText text={title} most={200} />
        </span>
      ) : null}
    </h1>
  );
}

/** The command that shows this, or that continues it. */
function headCommand(status: StatusDocument): string {
  if (status.status === "INTERRUPTED" || isAbandoned(status)) return commandLine("exp", "resume", status.id);
  return commandLine("exp", "status", status.id, ...(status.status === "RUNNING" ? ["--watch"] : []));
}

function FactText({ fact }: { fact: Fact }) {
  return (
    <span class={fact.isUnsure ? "experiment-fact unsure" : "experiment-fact"} title={fact.title}>
      {fact.text}
    </span>
  );
}

function Notes({ notes }: { notes: NonNullable<StatusDocument["notes"]> }) {
  const last = notes[notes.length - 1];
  if (!last) return null;
  const earlier = notes.slice(0, -1).reverse();
  return (
    <div class="experiment-notes">
      <Note note={last} />
      {earlier.length ? (
        <details>
          <summary>
            {count(earlier.length)} earlier {earlier.length === 1 ? "note" : "notes"}
          </summary>
          {earlier.map((note) => (
            <Note key={note.time + note.text} note={note} />
          ))}
        </details>
      ) : null}
    </div>
  );
}

function Note({ note }: { note: NonNullable<StatusDocument["notes"]>[number] }) {
  return (
    <p class="experiment-note">
      <span class="experiment-note-by" title={note.time ? `${absolute(note.time)}, ${note.by}` : note.by}>
        {author(note.by).user}
      </span>{" "}
      <span dir="auto">
        <LongText text={note.text} />
      </span>
    </p>
  );
}
