import "./NodeName.css";

const LEAST = 3; // characters that stay at the end
const MOST = 9;

/** A name of which the middle gives way, never the end. */
export function NodeName({ name }: { name: string }) {
  const letters = [...name];
  const kept = Math.min(MOST, Math.max(LEAST, Math.round(letters.length / 2.5)));
  const head = letters.slice(0, Math.max(0, letters.length - kept)).join("");
  return (
    <bdi class="node-name">
      {head ? <span class="node-name-head">{head}</span> : null}
      <span class="node-name-tail">{letters.slice(-kept).join("")}</span>
    </bdi>
  );
}
