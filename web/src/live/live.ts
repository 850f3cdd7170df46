// What changes on the server. One stream for all topics of this tab.
import { effect, signal } from "@preact/signals";
import { RequestError, send, session } from "../api/client";
import { EventReader, type ServerEvent } from "./events";

export interface TailEvent {
  readonly topic: string;
  readonly version: string;
  /** The curve or the log has to be read again. */
  readonly reset?: boolean;
  readonly points?: {
    step: (number | null)[];
    epoch: (number | null)[];
    time: (number | null)[];
    value: (number | string | null)[];
  };
  /** The bytes of a log. */
  readonly from?: number;
  readonly to?: number;
  readonly text?: string;
}

export interface Watcher {
  /** The topic has changed, or may have: without a stream, this is called every few seconds. */
  onChange?(): void;
  /** What was appended. Without a stream and without `onChange`, there is a `reset` every few seconds. */
  onTail?(event: TailEvent): void;
  /** The topic cannot be read; if that ends, there are events again. */
  onProblem?(message: string): void;
  /** Where a curve continues, as its document said; a log says it in its topic, as `from`. */
  readonly position?: unknown;
}

export interface LiveState {
  /** `live`: the stream is open; `polling`: asked at intervals instead; `stale`: the server does not answer. */
  readonly state: "connecting" | "live" | "polling" | "stale";
  /** When the server was last heard before this state began, in milliseconds since 1970. */
  readonly heard: number;
  /** When it is tried again, while it is stale. */
  readonly retry: number | null;
}

const MOST_TOPICS = 20; // of one stream; those above it are polled
const GATHER = 10; // milliseconds, in which topics are changed with one request
const OPEN_PATIENCE = 8_000; // until the first event: a proxy that keeps answers back lets none through
const SILENCE = 40_000; // the server sends something each 15 seconds
const SHORT = 5_000; // a stream that ends sooner counts as a failure
const WAITS = [1_000, 2_000, 4_000, 8_000, 15_000] as const; // after so many failures
const POLL = 5_000;
const STREAM_AGAIN = 60_000; // until a refused stream is tried again
const CATCH_UP = 1_500; // each topic is looked at within a second

interface Topic {
  /** As it is watched. */
  readonly topic: string;
  readonly watchers: Set<Watcher>;
  position: unknown;
}

const topics = new Map<string, Topic>(); // by the text that the server gets
const state = signal<LiveState>({ state: "connecting", heard: Date.now(), retry: null });
const again = signal<number | null>(null);

/** Whether what is seen is live. */
export const liveState = state;
/** How many events came after the server had been away; null some seconds later. */
export const caughtUp = again;

let connection: Connection | null = null;
let failures = 0;
let lastHeard = Date.now();
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let pollTimer: ReturnType<typeof setInterval> | undefined;
let gatherTimer: ReturnType<typeof setTimeout> | undefined;
let tails = 0;

/** Calls the watcher when a topic changes, until the function that it returns is called. */
export function watch(topic: string, watcher: Watcher): () => void {
  let text = topic;
  if (watcher.onTail) {
    // Each has a position of its own, so each is a topic of its own; servers pass over options they do not know.
    tails += 1;
    text += `${topic.includes("?") ? "&" : "?"}watcher=${tails}`;
  }
  const entry = topics.get(text) ?? { topic, watchers: new Set(), position: watcher.position };
  topics.set(text, entry);
  entry.watchers.add(watcher);
  gather();
  return () => {
    entry.watchers.delete(watcher);
    if (!entry.watchers.size && topics.get(text) === entry) topics.delete(text);
    gather();
  };
}

/** Tries to reach the server at once. */
export function tryNow(): void {
  if (!connection) start();
}

function gather(): void {
  if (gatherTimer !== undefined) return;
  gatherTimer = setTimeout(() => {
    gatherTimer = undefined;
    connection?.subscribe();
  }, GATHER);
}

function enter(next: LiveState["state"], retry: number | null = null): void {
  const before = state.peek();
  if (before.state === next && before.retry === retry) return;
  state.value = { state: next, heard: lastHeard, retry };
  document.documentElement.dataset.live = next === "live" || next === "polling" ? "yes" : "no";
}

function start(): void {
  if (connection || session.peek() === null || document.visibilityState === "hidden") return;
  clearTimeout(retryTimer);
  const isBack = state.peek().state === "stale";
  const opened = new Connection(() => {
    stopPolling();
    enter("live");
    if (isBack) countEvents(opened);
  });
  connection = opened;
  opened.run().then((end) => {
    if (connection !== opened) return;
    connection = null;
    if (end === "refused") beginPolling();
    else if (end === "lasted") {
      failures = 0;
      enter("connecting");
      start();
    } else if (session.peek() !== null) fail();
  });
}

function stop(): void {
  connection?.close();
  connection = null;
  clearTimeout(retryTimer);
  stopPolling();
  enter("connecting");
}

function fail(): void {
  const wait = WAITS[Math.min(failures, WAITS.length - 1)] as number;
  failures += 1;
  enter("stale", Date.now() + wait);
  clearTimeout(retryTimer);
  retryTimer = setTimeout(start, wait);
}

function beginPolling(): void {
  failures = 0;
  enter("polling");
  clearTimeout(retryTimer);
  retryTimer = setTimeout(start, STREAM_AGAIN);
  pollTimer ??= setInterval(poll, POLL);
}

function stopPolling(): void {
  clearInterval(pollTimer);
  pollTimer = undefined;
}

async function poll(): Promise<void> {
  if (connection?.isOpen) return;
  if (await isAnswering()) {
    for (const topic of [...topics.values()]) lookAgain(topic);
  } else {
    stopPolling();
    connection?.close();
    connection = null;
    fail();
  }
}

async function isAnswering(): Promise<boolean> {
  try {
    await send("/v1/hello", { token: null, signal: AbortSignal.timeout(OPEN_PATIENCE) });
    lastHeard = Date.now();
    return true;
  } catch {
    return false;
  }
}

/** Calls the watchers of a topic of which no events come. */
function lookAgain({ topic, watchers }: Topic): void {
  for (const watcher of [...watchers]) {
    if (watcher.onChange) watcher.onChange();
    else watcher.onTail?.({ topic, version: "", reset: true });
  }
}

function countEvents(opened: Connection): void {
  const before = opened.events;
  setTimeout(() => {
    if (connection !== opened) return;
    again.value = opened.events - before;
    setTimeout(() => {
      again.value = null;
    }, 4_000);
  }, CATCH_UP);
}

/** Why a stream has ended: it was open for a while, it failed, or it is not to be had. */
type End = "lasted" | "failed" | "refused";

class Connection {
  /** The events so far. */
  events = 0;
  readonly #stop = new AbortController();
  readonly #onOpen: () => void;
  #stream: string | null = null;
  #opened = 0;
  #subscribed = new Map<string, Topic>();
  #isSubscribing = false;
  #id: string | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #overflow: ReturnType<typeof setInterval> | undefined;

  constructor(onOpen: () => void) {
    this.#onOpen = onOpen;
  }

  get isOpen(): boolean {
    return this.#stream !== null;
  }

  close(): void {
    this.#stop.abort();
    this.#rememberPositions();
  }

  /** Reads the stream until it ends. */
  async run(): Promise<End> {
    let isKept = false;
    this.#silence = setTimeout(() => {
      isKept = true;
      this.#stop.abort();
    }, OPEN_PATIENCE);
    try {
      const answer = await send("/v1/live", {
        headers: { Accept: "text/event-stream" },
        signal: this.#stop.signal,
      });
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      const events = new EventReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        lastHeard = Date.now();
        if (this.isOpen) this.#expectMore();
        for (const event of events.read(decoder.decode(value, { stream: true }))) this.#take(event);
      }
    } catch (error) {
      // The server answers other requests: something between keeps streams back.
      if (isKept && !this.isOpen) return (await isAnswering()) ? "refused" : "failed";
      if (
        error instanceof RequestError &&
        error.status >= 400 &&
        error.status < 500 &&
        error.status !== 401
      ) {
        return "refused";
      }
    } finally {
      clearTimeout(this.#silence);
      clearInterval(this.#overflow);
      this.#rememberPositions();
    }
    return this.isOpen && Date.now() - this.#opened > SHORT ? "lasted" : "failed";
  }

  #expectMore(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#stop.abort(), SILENCE);
  }

  #rememberPositions(): void {
    if (this.#id === null) return;
    const positions: Record<string, unknown> = JSON.parse(this.#id);
    this.#id = null;
    for (const [text, topic] of this.#subscribed) {
      if (Object.hasOwn(positions, text)) topic.position = positions[text];
    }
  }

  #take(event: ServerEvent): void {
    const data = JSON.parse(event.data);
    if (event.kind === "open") {
      this.#stream = data.stream;
      this.#opened = Date.now();
      this.#expectMore();
      this.#onOpen();
      this.subscribe();
      return;
    }
    if (event.id !== null) this.#id = event.id;
    const topic = this.#subscribed.get(data.topic);
    if (!topic || topics.get(data.topic) !== topic) return;
    this.events += 1;
    for (const watcher of [...topic.watchers]) {
      if (event.kind === "change") watcher.onChange?.();
      else if (event.kind === "tail") watcher.onTail?.({ ...data, topic: topic.topic });
      else if (event.kind === "problem") watcher.onProblem?.(data.message);
    }
  }

  /** Makes the topics of the stream those that are watched. */
  async subscribe(): Promise<void> {
    if (this.#stream === null || this.#isSubscribing) return;
    this.#isSubscribing = true;
    try {
      while (await this.#change()) {
        // what has changed meanwhile
      }
    } catch {
      this.#stop.abort(); // the stream is no more; a new one begins with all topics
    } finally {
      this.#isSubscribing = false;
    }
  }

  async #change(): Promise<boolean> {
    const wanted = new Map([...topics].slice(0, MOST_TOPICS));
    const gone = [...this.#subscribed].filter(([text, topic]) => wanted.get(text) !== topic);
    const added = [...wanted].filter(([text, topic]) => this.#subscribed.get(text) !== topic);
    this.#pollAbove(topics.size > MOST_TOPICS);
    if (!gone.length && !added.length) return false;
    for (const [text] of gone) this.#subscribed.delete(text);
    for (const [text, topic] of added) this.#subscribed.set(text, topic);
    try {
      await this.#send(
        gone.map(([text]) => text),
        added,
      );
    } catch (error) {
      if (!(error instanceof RequestError && error.status === 400)) throw error;
      await this.#sendEach(added);
    }
    return true;
  }

  #send(unsubscribe: readonly string[], added: readonly [string, Topic][]): Promise<unknown> {
    const known = added.filter(([, { position }]) => position !== undefined && position !== null);
    const positions = Object.fromEntries(known.map(([text, topic]) => [text, topic.position]));
    const body = { unsubscribe, subscribe: added.map(([text]) => text), positions };
    return send(`/v1/live/${this.#stream}`, { method: "POST", body, signal: this.#stop.signal });
  }

  /** Finds out which topics the server refuses, and says it to those who watch them. */
  async #sendEach(added: readonly [string, Topic][]): Promise<void> {
    for (const entry of added) {
      try {
        await this.#send([], [entry]);
      } catch (error) {
        if (!(error instanceof RequestError && error.status === 400)) throw error;
        for (const watcher of [...entry[1].watchers]) watcher.onProblem?.(error.message);
      }
    }
  }

  #pollAbove(isNeeded: boolean): void {
    if (!isNeeded) {
      clearInterval(this.#overflow);
      this.#overflow = undefined;
    } else if (!this.#stop.signal.aborted) {
      this.#overflow ??= setInterval(() => {
        for (const [text, topic] of [...topics]) if (!this.#subscribed.has(text)) lookAgain(topic);
      }, POLL);
    }
  }
}

if (typeof document !== "undefined") {
  document.documentElement.dataset.live = "no";
  effect(() => {
    const token = session.value;
    stop(); // the stream of another session shows what that one may see
    if (token !== null) start();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") stop();
    else start();
  });
  addEventListener("online", () => tryNow());
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) tryNow();
  });
}
