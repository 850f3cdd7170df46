// What a viewer of one log does: it loads parts of the log, follows what is appended, and finds.
import { signal } from "@preact/signals";
import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import { ask, RequestError, send } from "../api/client";
import type { LinkDocument } from "../api/documents/link";
import type { LogMatchesDocument } from "../api/documents/log-matches";
import type { LogOutlineDocument } from "../api/documents/log-outline";
import { type TailEvent, watch } from "../live/live";
import { absolute, bytes, count } from "../ui/format";
import { type EditorEvents, LogEditor } from "./editor";
import { LogWindow } from "./LogWindow";
import { firstLine, type LogLine } from "./lines";

export type StreamName = LogOutlineDocument["stream"];

export interface LogAddress {
  readonly experiment: ExperimentAddress;
  readonly task: string;
  /** Its number; null for the latest. */
  readonly attempt: number | null;
  readonly stream: StreamName;
}

/** What a search says. */
export interface Found {
  readonly text: string;
  readonly count: number;
  /** The number of the current match, from 1; 0 without one. */
  readonly current: number;
  readonly error: unknown;
}

interface Piece {
  readonly data: Uint8Array;
  readonly from: number;
  readonly size: number;
  readonly isOver: boolean;
  readonly attempt: number;
}

const PIECE = 1 << 19; // bytes that are read at a time
const OUTLINE_PATIENCE = 100; // milliseconds that the first view waits for the outline
const MOST_FOLLOWED = 4 << 20; // bytes above the end that are kept while it is followed
const KEPT_FOLLOWED = 2 << 20;
const MOST_KEPT = 16 << 20; // bytes that are kept while somebody reads elsewhere
const SETTLE = 200; // milliseconds after the last letter until all is searched
const ABOVE_ERROR = 54; // pixels below the line of the error
const EMPTY = new Uint8Array();

export class LogController {
  /** The attempt that is shown; null until it is known. */
  readonly attempt = signal<number | null>(null);
  readonly outline = signal<LogOutlineDocument | null>(null);
  /** Why there is nothing to show. */
  readonly missing = signal<unknown>(null);
  /** What failed while something is shown. */
  readonly problem = signal<unknown>(null);
  readonly isLoaded = signal(false);
  readonly isFollowing = signal(false);
  readonly isOver = signal(false);
  readonly newLines = signal(0);
  /** The bytes of the log. */
  readonly size = signal(0);
  /** How many bytes of it are loaded. */
  readonly loaded = signal(0);
  readonly dropped = signal(0);
  readonly found = signal<Found | null>(null);

  readonly #host: HTMLElement;
  readonly #address: LogAddress;
  readonly #label: string;
  readonly #keys: (key: string) => boolean;
  readonly #stop = new AbortController();
  readonly #ends: (() => void)[] = [];
  #window = new LogWindow(0);
  #editor: LogEditor | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  /** The line that the end of the log belongs to, if it is known. */
  #end: { offset: number; line: number } | null = null;
  #matches: LogMatchesDocument | null = null;
  #query = { text: "", hasCase: false };
  #searches = 0;
  #searchTimer: ReturnType<typeof setTimeout> | undefined;
  #isRefreshing = false;
  #isStale = false;
  #isAtLine = false;

  constructor(host: HTMLElement, address: LogAddress, keys: (key: string) => boolean) {
    this.#host = host;
    this.#address = address;
    this.#keys = keys;
    this.#label = `Log of ${address.task}`;
    this.#queue = this.#open();
    const topic = `experiment:${experimentName(address.experiment)}`;
    this.#ends.push(watch(topic, { onChange: () => this.#refresh() }));
  }

  destroy(): void {
    this.#stop.abort();
    clearTimeout(this.#searchTimer);
    for (const end of this.#ends.splice(0)) end();
    this.#editor?.destroy();
  }

  /** Reads everything again. */
  reload(): void {
    this.#do(() => this.#open());
  }

  // What somebody asks for

  follow(): void {
    this.#do(async () => {
      if (!this.#isAtEndOfFile) await this.#openEnd();
      this.#setFollowing(!this.isOver.peek());
      this.#editor?.toEnd();
    });
  }

  unfollow(): void {
    this.#setFollowing(false);
  }

  /** Shows the line of the error, near the bottom. */
  toError(): void {
    const error = this.outline.peek()?.error;
    if (!error) return;
    this.unfollow();
    this.#host.scrollIntoView({ block: "nearest" });
    this.#do(async () => {
      await this.#toLine(error.offset, error.line, "end");
      this.focus();
    });
  }

  /** Whether the view was led elsewhere than to its end or its error. */
  get #isLed(): boolean {
    return this.#query.text !== "" || this.#isAtLine;
  }

  /** Shows a line by its number, if a mark or what is loaded tells where it is. */
  toLine(number: number): void {
    const marks = this.outline.peek()?.marks ?? [];
    this.#isAtLine = true;
    this.unfollow();
    this.#do(async () => {
      let row = this.#window.rowOf(number);
      if (row < 0) {
        const next = marks.findIndex((mark) => mark.line >= number);
        const begin = marks[next - 1] ?? { offset: 0, line: 1 };
        const end = marks[next] ?? marks.at(-1);
        if (!end) return;
        await this.#openAt(begin.offset, begin.line, Math.min(end.offset + PIECE, begin.offset + MOST_KEPT));
        row = this.#window.rowOf(number);
      }
      if (row >= 0) this.#editor?.toRow(row);
    });
  }

  wrap(isOn: boolean): void {
    this.#editor?.wrap(isOn);
  }

  focus(): void {
    this.#editor?.view.focus();
  }

  /** Copies what is loaded, without numbers and colours; says whether that is all. */
  async copy(): Promise<{ lines: number; isAll: boolean }> {
    const editor = this.#editor;
    if (!editor) return { lines: 0, isAll: true };
    if (navigator.clipboard) await navigator.clipboard.writeText(editor.text);
    else if (!editor.copyBySelection()) throw new Error("The browser refuses to copy.");
    const isAll = this.#window.from === 0 && this.#isAtEndOfFile;
    return { lines: editor.view.state.doc.lines, isAll };
  }

  /** An address from which the browser downloads the whole log. */
  async link(): Promise<string> {
    const body = { path: experimentDocument(this.#address.experiment, "log") };
    const { href } = await ask<LinkDocument>("/v1/link", { method: "POST", body });
    return `${href}&${this.#parameters()}`;
  }

  // Finding

  /** Finds a text: at once in what is loaded, and soon in all of the log. */
  find(text: string, hasCase: boolean): void {
    this.#query = { text, hasCase };
    this.#matches = null;
    clearTimeout(this.#searchTimer);
    this.#editor?.found(text, { hasCase, current: null });
    if (!text) {
      this.found.value = null;
      return;
    }
    this.unfollow();
    const top = this.#window.rows[this.#editor?.topRow() ?? 0]?.line.offset ?? 0;
    this.#searchTimer = setTimeout(() => this.#search(top, "next"), SETTLE);
  }

  /** Goes to the next match, or to the one before; after the last one, to the first. */
  async step(by: 1 | -1): Promise<void> {
    const matches = this.#matches;
    const found = this.found.peek();
    if (!matches || !found?.count) return;
    const next = (found.current - 1 + by + found.count) % found.count;
    if (matches.matches[next - matches.first]) await this.#show(next);
    else if (next === 0) await this.#search(0, "first");
    else if (next === found.count - 1) await this.#search(this.size.peek(), "last");
    else await this.#search(matches.matches.at(by > 0 ? -1 : 0)?.offset ?? 0, next);
  }

  async #search(around: number, which: "next" | "first" | "last" | number): Promise<void> {
    const { text, hasCase } = this.#query;
    this.#searches += 1;
    const search = this.#searches;
    const query = new URLSearchParams({ text, case: hasCase ? "1" : "0", around: String(around) });
    try {
      const matches = await ask<LogMatchesDocument>(
        `${experimentDocument(this.#address.experiment, "log")}/find?${this.#parameters()}&${query}`,
        { signal: this.#stop.signal },
      );
      if (search !== this.#searches || this.#query.text !== text) return;
      this.#matches = matches;
      let current = which === "last" ? matches.count - 1 : 0;
      if (which === "next") {
        const at = matches.matches.findIndex((match) => match.offset >= around);
        current = at < 0 ? matches.count - 1 : matches.first + at;
      } else if (typeof which === "number") current = which;
      this.found.value = { text, count: matches.count, current: 0, error: null };
      if (matches.count) await this.#show(current);
    } catch (error) {
      if (this.#stop.signal.aborted || search !== this.#searches) return;
      this.found.value = { text, count: 0, current: 0, error };
    }
  }

  async #show(number: number): Promise<void> {
    const at = number - (this.#matches?.first ?? 0);
    const listed = this.#matches?.matches ?? [];
    const match = listed[at];
    if (!match) return;
    let nth = 0;
    while (listed[at - nth - 1]?.line === match.line) nth += 1;
    const { text, hasCase } = this.#query;
    this.found.value = { text, count: this.#matches?.count ?? 0, current: number + 1, error: null };
    this.unfollow();
    await this.#do(async () => {
      await this.#toLine(match.offset, match.line, "center");
      if (match.offset < this.#window.from || match.offset >= this.#window.to) return;
      const at = this.#window.rowAt(match.offset);
      let row = this.#window.rows[at];
      if (!row) return;
      const column = () => nthIndex(hasCase ? row?.text : row?.text.toLowerCase(), this.#needle, nth);
      if (column() < 0 && !row.line.isOpened && (row.line.states > 1 || row.cut)) {
        this.#edit(this.#window.show(row.line, { isOpened: row.line.states > 1, isWhole: true }));
        row = this.#window.rows[at];
      }
      this.#editor?.toRow(at, "center", { column: Math.max(0, column()) });
      this.#editor?.found(text, { hasCase, current: { line: match.line, nth } });
    });
  }

  get #needle(): string {
    return this.#query.hasCase ? this.#query.text : this.#query.text.toLowerCase();
  }

  // Loading

  /** Does one after the other what changes the window. */
  #do(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(async () => {
      if (this.#stop.signal.aborted) return;
      try {
        await work();
        this.problem.value = null;
      } catch (error) {
        if (!this.#stop.signal.aborted) this.problem.value = error;
      }
    });
    this.#queue = done;
    return done;
  }

  #parameters(): string {
    const { task, attempt, stream } = this.#address;
    const number = this.attempt.peek() ?? attempt;
    return new URLSearchParams({
      task,
      ...(number === null ? {} : { attempt: String(number) }),
      stream,
    }).toString();
  }

  async #read(range: string): Promise<Piece> {
    const path = `${experimentDocument(this.#address.experiment, "log")}?${this.#parameters()}`;
    const answer = await send(path, { headers: { Range: `bytes=${range}` }, signal: this.#stop.signal });
    const data = new Uint8Array(await answer.arrayBuffer());
    const [, from, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "") ?? [];
    return {
      data,
      from: Number(from ?? 0),
      size: Number(size ?? data.length),
      isOver: answer.headers.get("Exp-Over") === "1",
      attempt: Number(answer.headers.get("Exp-Attempt")),
    };
  }

  /** The bytes from one to another, which exist; empty if there are none any more. */
  async #readBytes(from: number, to: number | null): Promise<Uint8Array> {
    try {
      const piece = await this.#read(`${from}-${to === null ? "" : to - 1}`);
      return piece.from === from ? piece.data : EMPTY;
    } catch (error) {
      if (error instanceof RequestError && error.status === 416) return EMPTY;
      throw error;
    }
  }

  async #askOutline(): Promise<LogOutlineDocument> {
    return ask<LogOutlineDocument>(
      `${experimentDocument(this.#address.experiment, "log")}/outline?${this.#parameters()}`,
      { signal: this.#stop.signal },
    );
  }

  /** Opens the log: its end, or the error if the attempt failed. */
  async #open(): Promise<void> {
    try {
      const reading = this.#openEnd();
      const outlining = this.#askOutline().then((outline) => this.#learn(outline));
      outlining.catch(() => {});
      await reading;
      await Promise.race([outlining, new Promise((done) => setTimeout(done, OUTLINE_PATIENCE))]);
      this.missing.value = null;
      this.isLoaded.value = true;
      this.#begin(outlining);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.missing.value = error;
      this.isLoaded.value = false;
      this.#await();
    }
  }

  /** Opens the log once it has a first byte: it may arrive without an event of the experiment. */
  #await(): void {
    for (const end of this.#ends.splice(1)) end();
    const number = this.attempt.peek() ?? this.#address.attempt;
    if (number === null) return; // which attempt it will be, the experiment tells
    const topic = `log:${experimentName(this.#address.experiment)}?${this.#parameters()}&from=0`;
    const look = () => {
      if (!this.isLoaded.peek()) this.reload();
    };
    this.#ends.push(watch(topic, { position: 0, onTail: (event) => event.to && look(), onChange: look }));
  }

  /** Shows the first view, and follows what comes. */
  #begin(outlining: Promise<void>): void {
    const isOver = this.isOver.peek();
    this.#setFollowing(!isOver);
    this.#editor?.toEnd();
    outlining.then(
      () => {
        const outline = this.outline.peek();
        if (!outline || this.isFollowing.peek()) return;
        if (outline.status === "FAILED" && outline.error && !this.#isLed) {
          const { offset, line } = outline.error;
          this.#do(() => this.#toLine(offset, line, "end"));
        }
      },
      (error) => {
        if (!this.#stop.signal.aborted) this.problem.value = error;
      },
    );
    this.#watch();
  }

  #watch(): void {
    for (const end of this.#ends.splice(1)) end();
    if (this.isOver.peek() && this.#isAtEndOfFile) return;
    const from = this.size.peek();
    const topic = `log:${experimentName(this.#address.experiment)}?${this.#parameters()}&from=${from}`;
    this.#ends.push(
      watch(topic, {
        position: from,
        onTail: (event) => this.#do(() => this.#receive(event)),
        onChange: () => this.#do(() => this.#catchUp()),
      }),
    );
  }

  async #openEnd(): Promise<void> {
    const piece = await this.#read(`-${PIECE}`);
    this.attempt.value = piece.attempt;
    this.isOver.value = piece.isOver;
    const line = piece.from ? firstLine(piece.data) : 0;
    const skipped = Math.max(0, line);
    this.size.value = piece.size;
    this.#replace(piece.data.subarray(skipped), piece.from + skipped);
    for (const { offset, line: number } of this.outline.peek()?.marks ?? [])
      this.#window.learn(offset, number);
    if (this.#end) this.#window.learn(this.#end.offset, this.#end.line);
    this.#shown();
  }

  /** Loads the lines from about a byte on, of which the number of one line is known. */
  async #openAt(offset: number, line: number, end: number): Promise<void> {
    const begin = Math.max(0, Math.min(offset, end - PIECE));
    const data = await this.#readBytes(begin, Math.min(end, this.size.peek()));
    const first = begin ? Math.max(0, firstLine(data)) : 0;
    const isToEnd = begin + data.length >= this.size.peek();
    const last = isToEnd ? data.length : data.lastIndexOf(10) + 1 || data.length;
    this.#replace(data.subarray(Math.min(first, last), last), begin + Math.min(first, last));
    this.#window.learn(offset, line);
    this.#shown();
  }

  /** Shows bytes as a window of their own. */
  #replace(data: Uint8Array, from: number): void {
    const window = new LogWindow(from);
    window.append(data);
    this.#window = window;
    if (this.#editor) this.#editor.reset(window);
    else {
      this.#editor = new LogEditor(this.#host, window, this.#label, this.#events());
      this.#editor.reset(window);
      this.#editor.error(this.outline.peek()?.error?.offset ?? null);
    }
  }

  async #toLine(offset: number, line: number, y: "end" | "center"): Promise<void> {
    const { from, to } = this.#window;
    if (offset < from || offset >= to) {
      await this.#openAt(offset, line, Math.min(this.size.peek(), offset + PIECE / 2));
    }
    if (!this.#window.areNumbersKnown) this.#window.learn(offset, line);
    this.#editor?.toRow(this.#window.rowAt(offset), y, { yMargin: y === "end" ? ABOVE_ERROR : 0 });
  }

  get #isAtEndOfFile(): boolean {
    return this.#window.to >= this.size.peek();
  }

  async #loadAbove(): Promise<void> {
    const { from } = this.#window;
    if (!from) return;
    const begin = Math.max(0, from - PIECE);
    const data = await this.#readBytes(begin, from);
    if (data.length !== from - begin) return;
    const first = begin ? firstLine(data) : 0;
    const isPart = first < 0 || first === data.length;
    this.#edit(this.#window.prepend(isPart ? data : data.subarray(first), isPart));
    if (this.#window.to - this.#window.from > MOST_KEPT)
      this.#edit(this.#window.dropBelow(MOST_KEPT - PIECE));
    this.#shown();
  }

  async #loadBelow(): Promise<void> {
    const { to } = this.#window;
    const size = this.size.peek();
    if (to >= size) return; // another view was opened meanwhile
    const data = await this.#readBytes(to, Math.min(size, to + PIECE));
    const isToEnd = to + data.length >= size;
    const last = isToEnd ? data.length : data.lastIndexOf(10) + 1 || data.length;
    this.#edit(this.#window.append(data.subarray(0, last)));
    if (this.#window.to - this.#window.from > MOST_KEPT)
      this.#edit(this.#window.dropAbove(MOST_KEPT - PIECE));
    this.#shown();
  }

  #edit(edit: ReturnType<LogWindow["dropAbove"]>): void {
    this.#editor?.apply(edit);
  }

  // Following

  async #receive(event: TailEvent): Promise<void> {
    if (event.reset) {
      await this.#restart();
      return;
    }
    const { from = 0, to = 0, text = "" } = event;
    const size = this.size.peek();
    if (to <= size) return;
    const data = new TextEncoder().encode(text);
    // With characters that are no UTF-8 in the file, the text does not tell its bytes.
    const isExact = from <= size && data.length === to - from;
    this.#added(isExact ? data.subarray(size - from) : await this.#readBytes(size, to));
  }

  /** Reads what was appended, where no event says what. */
  async #catchUp(): Promise<void> {
    const size = this.size.peek();
    // With the byte before, so that a log to which nothing was added has this range too.
    const begin = Math.max(0, size - 1);
    let piece: Piece;
    try {
      piece = await this.#read(`${begin}-${begin + PIECE}`);
    } catch (error) {
      if (!(error instanceof RequestError) || error.status !== 416) throw error;
      await this.#restart(); // it is shorter than before
      return;
    }
    if (piece.from !== begin) return;
    this.#added(piece.data.subarray(size - begin));
    if (piece.size > this.size.peek()) this.#do(() => this.#catchUp());
  }

  #added(data: Uint8Array): void {
    if (!data.length) return;
    const isAtEnd = this.#isAtEndOfFile;
    const before = this.size.peek();
    this.size.value = before + data.length;
    const breaks = breaksIn(data);
    if (this.#end?.offset === before)
      this.#end = { offset: before + data.length, line: this.#end.line + breaks };
    const isFollowing = this.isFollowing.peek();
    if (!isFollowing) this.newLines.value += breaks;
    if (isAtEnd && (isFollowing || this.#window.to - this.#window.from < MOST_KEPT)) {
      this.#edit(this.#window.append(data));
      const isLarge = this.#window.to - this.#window.from > MOST_FOLLOWED;
      if (isFollowing && isLarge) this.#edit(this.#window.dropAbove(KEPT_FOLLOWED));
    }
    this.#shown();
  }

  /** The experiment has changed: the attempt may be over, or another one may have begun. */
  #refresh(): void {
    if (this.#isRefreshing) {
      this.#isStale = true;
      return;
    }
    if (this.isOver.peek() && this.#address.attempt !== null) return;
    this.#isRefreshing = true;
    this.#do(async () => {
      if (!this.isLoaded.peek()) await this.#open();
      else {
        const shown = this.attempt.peek();
        if (this.#address.attempt === null) this.attempt.value = null; // the latest is asked for
        try {
          const outline = await this.#askOutline();
          if (shown !== null && outline.attempt !== shown) {
            await this.#restart();
            return;
          }
          this.attempt.value = shown;
          if (outline.over) await this.#catchUp();
          await this.#learn(outline);
          if (outline.over) this.#watch();
        } finally {
          this.attempt.value ??= shown;
        }
      }
    }).finally(() => {
      this.#isRefreshing = false;
      if (this.#isStale && !this.#stop.signal.aborted) {
        this.#isStale = false;
        this.#refresh();
      }
    });
  }

  async #restart(): Promise<void> {
    this.attempt.value = null;
    this.outline.value = null;
    this.#end = null;
    this.newLines.value = 0;
    await this.#open();
  }

  async #learn(outline: LogOutlineDocument): Promise<void> {
    this.outline.value = outline;
    this.attempt.value = outline.attempt;
    this.isOver.value = outline.over;
    for (const { offset, line } of outline.marks) this.#window.learn(offset, line);
    const end = outline.marks.at(-1);
    if (end && end.offset >= (this.#end?.offset ?? 0)) this.#end = end;
    this.#editor?.error(outline.error?.offset ?? null);
    if (outline.over) this.#setFollowing(false);
    this.#shown();
  }

  #setFollowing(isOn: boolean): void {
    const is = isOn && !this.isOver.peek();
    if (this.#editor) this.#editor.isFollowing = is;
    this.isFollowing.value = is;
    if (is) this.newLines.value = 0;
  }

  /** Says what is shown, once that has changed. */
  #shown(): void {
    const window = this.#window;
    const size = this.size.peek();
    this.loaded.value = window.to - window.from;
    this.dropped.value = window.dropped;
    const outline = this.outline.peek();
    const first = window.rows[0]?.line;
    const firstNumber = first ? window.numberOf(first) : null;
    const last = window.last;
    const lastNumber = last ? window.numberOf(last) : null;
    const total = this.#end && this.#end.offset >= size - 1 ? this.#end.line : null;
    const above = !window.from
      ? null
      : firstNumber === null
        ? `${bytes(window.from)} not loaded`
        : firstNumber === 1
          ? "the beginning of line 1 is not loaded"
          : `lines 1 to ${count(firstNumber - 1)} not loaded`;
    const below =
      window.to >= size
        ? null
        : lastNumber === null || total === null
          ? `${bytes(size - window.to)} not loaded`
          : `lines ${count(lastNumber + 1)} to ${count(total)} not loaded`;
    this.#editor?.edges({
      above: above === null ? null : { text: above, far: "To the first line" },
      below: below === null ? null : { text: below, far: "To the last line" },
      end: outline?.over && outline.ended && window.to >= size ? endOf(outline) : null,
    });
    this.#editor?.redraw();
  }

  #events(): EditorEvents {
    return {
      onScroll: ({ isNearTop, isNearEnd, isAtEnd, isUpwards }) => {
        if (!this.isLoaded.peek()) return;
        if (isAtEnd && this.#isAtEndOfFile && !this.isFollowing.peek() && !isUpwards)
          this.#setFollowing(true);
        else if (isUpwards && !isAtEnd && this.isFollowing.peek()) this.unfollow();
        if (this.#isBusy) return;
        if (isNearTop && isUpwards && this.#window.from) this.#load(() => this.#loadAbove());
        else if (isNearEnd && !isUpwards && !this.#isAtEndOfFile) this.#load(() => this.#loadBelow());
      },
      onSelect: () => this.unfollow(),
      onEdge: (which) => {
        if (which === "above") this.#load(() => this.#loadAbove());
        else if (which === "below") this.#load(() => this.#loadBelow());
        else if (which === "last") this.follow();
        else {
          this.unfollow();
          if (this.#window.from) {
            this.#do(async () => {
              await this.#openAt(0, 1, PIECE);
              this.#editor?.toRow(0, "start");
            });
          }
        }
      },
      onKey: (key) => this.#keys(key),
      onShow: (line: LogLine, changed) => {
        this.unfollow();
        this.#edit(this.#window.show(line, changed));
      },
    };
  }

  #load(work: () => Promise<void>): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#do(work).finally(() => {
      this.#isBusy = false;
    });
  }
}

/** Where a text occurs for the nth time, from 0; where it first does, if not so often; -1 if not at all. */
function nthIndex(text: string | undefined, needle: string, nth: number): number {
  const first = text?.indexOf(needle) ?? -1;
  let at = first;
  for (let passed = 0; passed < nth && at >= 0; passed += 1)
    at = text?.indexOf(needle, at + needle.length) ?? -1;
  return at < 0 ? first : at;
}

function breaksIn(data: Uint8Array): number {
  let found = 0;
  for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) found += 1;
  return found;
}

function endOf({ ended, exit_code, status }: LogOutlineDocument): { text: string; isBad: boolean } {
  const how = exit_code === null ? `${status}` : `with exit code ${exit_code}`;
  return { text: `ended ${absolute(ended ?? "")}, ${how}`, isBad: status === "FAILED" };
}
