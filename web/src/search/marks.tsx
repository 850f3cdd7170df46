import type { Phase } from "./study";

const TRIANGLE = "M-4.5 -3.6H4.5L0 4.5z";

/** A trial in a figure: a disc with a value, a hollow triangle if it was pruned. */
export function TrialMark({ phase, x, y, isBest }: { phase: Phase; x: number; y: number; isBest: boolean }) {
  return (
    <g transform={`translate(${x} ${y})`} class={`trial-mark trial-${phase} ${isBest ? "is-best" : ""}`}>
      {phase === "pruned" ? <path d={TRIANGLE} /> : <circle r={isBest ? 5.5 : 4} />}
    </g>
  );
}

/** The same next to a word. */
export function TrialKey({
  phase,
  label,
  isBest = false,
}: {
  phase: Phase;
  label: string;
  isBest?: boolean;
}) {
  return (
    <span class="trial-key">
      <svg viewBox="-7 -7 14 14" width="14" height="14" aria-hidden="true">
        <TrialMark phase={phase} x={0} y={0} isBest={isBest} />
      </svg>
      {label}
    </span>
  );
}
