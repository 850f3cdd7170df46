import type { NodeState, TaskStatus } from "./nodeState";
import "./NodeBar.css";

const PARTS: readonly (readonly [string, readonly TaskStatus[]])[] = [
  ["ok", ["SUCCEEDED"]],
  ["bad", ["FAILED"]],
  ["can", ["CANCELLED"]],
  ["unk", ["UNKNOWN"]],
  ["run", ["RUNNING", "SUBMITTED"]],
];

/** How far the tasks of a node are. */
export function NodeBar({ counts, total }: { counts: NodeState["counts"]; total: number }) {
  return (
    <span class="node-bar" aria-hidden="true">
      {PARTS.map(([name, statuses]) => {
        const count = statuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
        return count ? (
          <span key={name} class={`node-bar-part ${name}`} style={{ width: `${(100 * count) / total}%` }} />
        ) : null;
      })}
    </span>
  );
}
