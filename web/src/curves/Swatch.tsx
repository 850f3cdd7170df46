import type { Stroke } from "./colours";

/** The stroke of a line, as a key to it. */
export function Swatch({ stroke }: { stroke: Stroke }) {
  return (
    <svg class="swatch" width="20" height="8" viewBox="0 0 20 8" aria-hidden="true">
      <path
        d="M1 4h18"
        fill="none"
        style={{ stroke: `var(${stroke.token})` }}
        stroke-width={stroke.isPlain ? 1 : 2.5}
        stroke-dasharray={stroke.dash.length ? stroke.dash.join(" ") : undefined}
      />
    </svg>
  );
}
