import { effect, type Signal, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { liveState, watch } from "../live/live";
import { parseExact } from "../ui/exactJson";
import { send, session, sessionOver } from "./client";

export interface Loaded<Document> {
  /** The latest document; it stays while a newer one is asked for, and when that fails. */
  readonly document: Document | null;
  readonly error: unknown;
  /** Whether the document is that of the former address, see `keeps`. */
  readonly isFormer: boolean;
  reload(): void;
}

export interface Options {
  /** Whether the document of the former address stays until that of the new one is there, as for a filter. */
  readonly keeps?: boolean;
  /** Whether numbers keep all their digits: those that JavaScript would change are `ExactNumber`. */
  readonly isExact?: boolean;
}

interface Shown {
  readonly document: unknown;
  readonly error: unknown;
}

const MOMENT = 100; // milliseconds, in which several changes are one request
const SHARE = 3; // the time between two requests is at least this multiple of how long the last one took
const LONGEST = 10_000; // milliseconds between them
const KEPT = 30; // documents that nobody shows now, for Back

const paused = new Set<string>(); // addresses

/** Asks for no document below an address until the function that it returns is called: it is being removed. */
export function pauseDocuments(address: string): () => void {
  paused.add(address);
  return () => paused.delete(address);
}

function isPaused(path: string): boolean {
  return [...paused].some((address) => path === address || path.startsWith(`${address}/`));
}

/** A document of the server, asked for once for all that show it. */
class Entry {
  readonly shown: Signal<Shown> = signal({ document: null, error: null });
  users = 0;
  readonly #path: string;
  #tag: string | null = null;
  #asking: AbortController | null = null;
  #isChanged = false;
  #ended = 0;
  #took = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isBegun = false;

  readonly #isExact: boolean;

  constructor(path: string, isExact: boolean) {
    this.#path = path;
    this.#isExact = isExact;
  }

  /** Asks for it while the first who shows it is drawn: the answer need not wait for what is painted meanwhile. */
  begin(): void {
    if (this.users || this.#asking || session.peek() === null) return;
    this.#isBegun = true;
    this.load();
  }

  join(): void {
    this.users += 1;
    if (!this.#isBegun && !this.#asking) this.load();
    this.#isBegun = false;
  }

  leave(): void {
    this.users -= 1;
    if (this.users) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#asking?.abort();
    this.#asking = null;
  }

  /** Asks for it soon. */
  change(): void {
    if (this.#asking) this.#isChanged = true;
    else {
      const pause = Math.min(LONGEST, this.#took * SHARE) - (Date.now() - this.#ended);
      this.#timer ??= setTimeout(() => this.load(), Math.max(MOMENT, pause));
    }
  }

  async load(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#asking) {
      this.#isChanged = true;
      return;
    }
    if (session.peek() === null) return; // it is asked for once somebody has signed in
    if (isPaused(this.#path)) return;
    const asking = new AbortController();
    this.#asking = asking;
    const begun = Date.now();
    try {
      const headers: Record<string, string> = this.#tag === null ? {} : { "If-None-Match": this.#tag };
      const answer = await send(this.#path, { headers, signal: asking.signal });
      if (answer.status !== 304) {
        const document: unknown = this.#isExact ? parseExact(await answer.text()) : await answer.json();
        this.#tag = answer.headers.get("ETag");
        this.shown.value = { document, error: null };
      } else if (this.shown.peek().error) {
        this.shown.value = { document: this.shown.peek().document, error: null };
      }
    } catch (error) {
      if (asking.signal.aborted) return;
      this.shown.value = { document: this.shown.peek().document, error };
    }
    this.#asking = null;
    this.#ended = Date.now();
    this.#took = this.#ended - begun;
    if (this.#isChanged) {
      this.#isChanged = false;
      this.change();
    }
  }
}

const entries = new Map<string, Entry>();

function entryOf(path: string, isExact: boolean): Entry {
  const name = isExact ? `${path} exact` : path;
  const entry = entries.get(name) ?? new Entry(path, isExact);
  entries.delete(name);
  entries.set(name, entry); // the latest is the last
  if (entries.size > KEPT) {
    for (const [other, { users }] of entries) {
      if (entries.size <= KEPT) break;
      if (!users && other !== name) entries.delete(other);
    }
  }
  return entry;
}

let wasLive = false;
effect(() => {
  const isLive = liveState.value.state === "live" || liveState.value.state === "polling";
  if (isLive && !wasLive) retry();
  wasLive = isLive;
});
effect(() => {
  if (session.value !== null) retry();
  else if (sessionOver.value === null) entries.clear(); // nothing of somebody who has signed out stays
});

/** Asks again for what could not be had. */
function retry(): void {
  for (const entry of [...entries.values()]) {
    if (entry.users && (entry.shown.peek().error || entry.shown.peek().document === null)) entry.change();
  }
}

/**
 * The document at an address, which is asked for again whenever one of the topics changes. The component is
 * drawn when the document is another one. Several that name the same address share one document.
 *
 * @param path its address on the server; null for none yet
 * @param topics of the live stream, such as `experiments` or `experiment:OWNER/HOME/ID`
 */
export function useDocument<Document>(
  path: string | null,
  topics: readonly string[] = [],
  { keeps = false, isExact = false }: Options = {},
): Loaded<Document> {
  const watched = topics.join("\n");
  const former = useRef<Document | null>(null);
  const held = useRef<{ path: string; entry: Entry } | null>(null);
  if (path === null) held.current = null;
  else if (held.current?.path !== path) {
    held.current = { path, entry: entryOf(path, isExact) };
    held.current.entry.begin();
  }
  const entry = held.current?.entry ?? null;
  useEffect(() => {
    if (!entry) return;
    entry.join();
    const ends = watched
      ? watched.split("\n").map((topic) => watch(topic, { onChange: () => entry.change() }))
      : [];
    return () => {
      for (const end of ends) end();
      entry.leave();
    };
  }, [entry, watched]);
  const shown = entry?.shown.value as { document: Document | null; error: unknown } | undefined;
  const document = shown?.document ?? null;
  if (document !== null || !keeps) former.current = document;
  return {
    document: document ?? former.current,
    error: shown?.error ?? null,
    isFormer: document === null && former.current !== null,
    reload: () => void entry?.load(),
  };
}
