import "./ProgressBar.css";

/** The statuses of a bar in their order, with the word for each; what is not among them is the rest. */
const PARTS = [
  { part: "ok", word: "done", statuses: ["SUCCEEDED"] },
  { part: "bad", word: "failed", statuses: ["FAILED"] },
  { part: "can", word: "cancelled", statuses: ["CANCELLED"] },
  { part: "unk", word: "unknown", statuses: ["UNKNOWN"] },
  { part: "run", word: "running", statuses: ["RUNNING"] },
] as const;

/** How many tasks have which status, as a bar; a part that is there can be seen, however small. */
export function ProgressBar({ counts }: { counts: Readonly<Record<string, number>> }) {
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const parts = PARTS.map(({ part, word, statuses }) => ({
    part,
    word,
    size: statuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0),
  })).filter(({ size }) => size > 0);
  const rest = total - parts.reduce((sum, { size }) => sum + size, 0);
  const text = parts.map(({ size, word }) => `${size} ${word}`).join(", ") || "none has begun";
  return (
    <span class="progress-bar" role="img" aria-label={`${text}, of ${total}`}>
      {parts.map(({ part, size }) => (
        <span key={part} class={`progress-part progress-${part}`} style={{ flexGrow: size }} />
      ))}
      {rest > 0 ? <span style={{ flexGrow: rest }} /> : null}
    </span>
  );
}
