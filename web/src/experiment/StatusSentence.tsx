import { useEffect, useRef, useState } from "preact/hooks";
import type { StatusDocument } from "../api/documents/status";
import { CopyButton } from "../ui/CopyButton";
import { now } from "../ui/clock";
import { StatusMark } from "../ui/StatusMark";
import { taskHref } from "./pick";
import { type Piece, plain, statusSentence } from "./sentences";

const SPOKEN = 10_000; // milliseconds between two messages to screen readers

interface SentenceProps {
  readonly status: StatusDocument;
  /** Where a task that it names is shown: as a rule, on the same page. */
  hrefOf?(task: string): string;
}

/** The state of an experiment in a sentence or a few; what changes is announced, at most every ten seconds. */
export function StatusSentence({ status, hrefOf = taskHref }: SentenceProps) {
  const received = useRef({ status, time: Date.now() });
  if (received.current.status !== status) received.current = { status, time: Date.now() };
  const isTicking = status.status === "RUNNING" && status.supervisor.state === "alive";
  const active = status.active ?? null;
  const passed = isTicking ? Math.max(0, (now.value - received.current.time) / 1_000) : 0;
  const pieces = statusSentence(status, active === null ? null : active + passed);
  const spoken = useSpoken(plain(statusSentence(status, null)));
  return (
    <>
      <p class="status-sentence">
        <StatusMark status={status.status} size={16} />
        <span>
          {pieces.map((piece, index) => (
            <PieceText key={index} piece={piece} status={status.status} hrefOf={hrefOf} />
          ))}
        </span>
      </p>
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
    </>
  );
}

interface PieceProps {
  readonly piece: Piece;
  readonly status: string;
  hrefOf(task: string): string;
}

function PieceText({ piece, status, hrefOf }: PieceProps) {
  switch (piece.kind) {
    case "status":
      return <strong class={`status-sentence-word status-${status}`}>{piece.text}</strong>;
    case "bad":
      return <strong class="status-sentence-bad">{piece.text}</strong>;
    case "task":
      return (
        <a
          class={piece.isBad ? "status-sentence-task bad" : "status-sentence-task"}
          href={hrefOf(piece.text)}
        >
          {piece.text}
        </a>
      );
    case "command":
      return (
        <span class="status-sentence-command">
          <code>{piece.text}</code>
          <CopyButton text={piece.text} label="Copy this command" />
        </span>
      );
    default:
      return <>{piece.text}</>;
  }
}

/** A text that changes at most every ten seconds, and not at first: what a page begins with is no news. */
function useSpoken(text: string): string {
  const [spoken, setSpoken] = useState("");
  const first = useRef(text);
  const last = useRef(0);
  useEffect(() => {
    if (text === first.current) return;
    first.current = "";
    const timer = setTimeout(
      () => {
        last.current = Date.now();
        setSpoken(text);
      },
      Math.max(0, last.current + SPOKEN - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [text]);
  return spoken;
}
