// What the charts and the legend of one view share while somebody looks at them.
import { type Signal, signal } from "@preact/signals";

export interface Cursor {
  /** The chart under the pointer, or with the focus. */
  readonly key: string;
  readonly x: number;
  readonly isKeys: boolean;
}

export interface LookState {
  readonly cursor: Signal<Cursor | null>;
  /** The id of the line that is lifted in all charts. */
  readonly lifted: Signal<string | null>;
}

export function lookState(): LookState {
  return { cursor: signal(null), lifted: signal(null) };
}
