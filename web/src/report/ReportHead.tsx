import { factsOf } from "../experiment/facts";
import { type Piece, statusSentence } from "../experiment/sentences";
import "../experiment/ExperimentHead.css";
import { CopyButton } from "../ui/CopyButton";
import { absolute } from "../ui/format";
import { StatusMark } from "../ui/StatusMark";
import type { ReportData } from "./data";

/** The experiment, its state when the report was made, and when that was. */
export function ReportHead({ data, onPick }: { data: ReportData; onPick(task: string): void }) {
  const { status, timeline } = data;
  const isPlain = status.id.startsWith(status.name);
  const notes = status.notes ?? [];
  return (
    <header class="experiment-head">
      <h1 class="experiment-id">
        <span>
          {isPlain ? status.name : status.id}
          {isPlain ? <span class="experiment-unixtime">{status.id.slice(status.name.length)}</span> : null}
        </span>
        <CopyButton text={status.id} label="Copy the id" />
        {status.title ? (
          <span class="experiment-subtitle" dir="auto">
            {status.title}
          </span>
        ) : null}
      </h1>
      <p class="status-sentence">
        <StatusMark status={status.status} size={16} />
        <span>
          {statusSentence(status, status.active ?? null).map((piece, index) => (
            <PieceText key={index} piece={piece} status={status.status} onPick={onPick} />
          ))}
        </span>
      </p>
      <p class="experiment-facts">
        {factsOf(status, timeline).map((fact) => (
          <span key={fact.text} class="experiment-fact" title={fact.title}>
            {fact.text}
          </span>
        ))}
      </p>
      {status.description ? (
        <p class="experiment-description" dir="auto">
          {status.description}
        </p>
      ) : null}
      {notes.map((note) => (
        <p key={note.time + note.text} class="experiment-note">
          <span class="experiment-note-by">{note.by}</span> <span dir="auto">{note.text}</span>
        </p>
      ))}
      <p class="report-made">
        As of {absolute(data.made)}
        {status.ended === null ? ", while it had not ended" : ""}. This file does not change.
      </p>
    </header>
  );
}

interface PieceProps {
  readonly piece: Piece;
  readonly status: string;
  onPick(task: string): void;
}

function PieceText({ piece, status, onPick }: PieceProps) {
  switch (piece.kind) {
    case "status":
      return <strong class={`status-sentence-word status-${status}`}>{piece.text}</strong>;
    case "bad":
      return <strong class="status-sentence-bad">{piece.text}</strong>;
    case "task":
      return (
        <button
          type="button"
          class={`report-task status-sentence-task ${piece.isBad ? "bad" : ""}`}
          onClick={() => onPick(piece.text)}
        >
          {piece.text}
        </button>
      );
    case "command":
      return <code>{piece.text}</code>;
    default:
      return <>{piece.text}</>;
  }
}
