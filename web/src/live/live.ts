// What changes on the server. One stream for all topics of this tab.
import { signal } from "@preact/signals";

export interface TailEvent {
  readonly topic: string;
  readonly version: string;
  /** The curve has to be read again. */
  readonly reset?: boolean;
  readonly points?: { step: number[]; epoch: number[]; time: number[]; value: (number | null)[] };
  /** The bytes of a log. */
  readonly from?: number;
  readonly to?: number;
  readonly text?: string;
}

export interface Watcher {
  onChange?(): void;
  onTail?(event: TailEvent): void;
  /** The topic cannot be read. */
  onProblem?(message: string): void;
  /** Where a curve or a log continues, as its document said. */
  readonly position?: unknown;
}

export interface LiveState {
  /** `live`: the stream is open; `polling`: asked at intervals instead; `stale`: the server does not answer. */
  readonly state: "connecting" | "live" | "polling" | "stale";
  /** When the server was last heard, in milliseconds since 1970. */
  readonly heard: number;
}

export const liveState = signal<LiveState>({ state: "connecting", heard: Date.now() });

const POLL = 2_000;

/** Calls the watcher when a topic changes, until the function that it returns is called. */
export function watch(topic: string, watcher: Watcher): () => void {
  void topic;
  const timer = setInterval(() => watcher.onChange?.(), POLL);
  return () => clearInterval(timer);
}
