// The part of a log that is loaded: whole lines from a byte on, to which bytes are added at both ends.
import { PLAIN } from "./ansi";
import { firstCharacter, type LogLine, logLine, logLines, type Row, rowsOf, split } from "./lines";

/** A change of the rows: what the editor does to its text. */
export interface Edit {
  readonly at: number;
  readonly removed: number;
  readonly rows: readonly Row[];
}

const LONGEST_OPEN = 1 << 20; // bytes of an unfinished line that are read again as it grows

export class LogWindow {
  /** The bytes of the file that are loaded. */
  from: number;
  to: number;
  readonly rows: Row[] = [];
  /** Sequences that are not shown. */
  dropped = 0;
  /** The bytes of the unfinished last line. */
  #open = new Uint8Array();
  /** Whether what follows belongs to the last line, which was too long to be read again. */
  #continues = false;
  /** The number of the line with index 0; null while it is not known. */
  #base: number | null = null;

  constructor(from: number) {
    this.from = from;
    this.to = from;
  }

  get last(): LogLine | null {
    return this.rows.at(-1)?.line ?? null;
  }

  /** Whether the last line is unfinished. */
  get isOpen(): boolean {
    return this.#open.length > 0;
  }

  get areNumbersKnown(): boolean {
    return this.#base !== null;
  }

  /** The number of a line in the file; null while it is not known. */
  numberOf(line: LogLine): number | null {
    return this.#base === null ? null : this.#base + line.index;
  }

  /** Learns the number of the line that a byte belongs to. */
  learn(offset: number, number: number): void {
    if (offset < this.from || offset > this.to) return;
    const last = this.last;
    if (!last) {
      if (offset === this.from) this.#base = number;
      return;
    }
    const isNext = offset === this.to && !this.isOpen && !this.#continues; // a line that is still to come
    const line = this.rows[this.rowAt(offset)]?.line ?? last;
    this.#base = number - (isNext ? last.index + 1 : line.index);
  }

  /** The row of the line that a byte belongs to. */
  rowAt(offset: number): number {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.rows[middle] as Row).line.offset <= offset) low = middle;
      else high = middle - 1;
    }
    while (low > 0 && !this.rows[low]?.isFirst) low -= 1;
    return low;
  }

  /** The row of the line with a number; -1 if it is not loaded. */
  rowOf(number: number): number {
    const [first, last] = [this.rows[0]?.line, this.last];
    if (this.#base === null || !first || !last) return -1;
    const index = number - this.#base;
    if (index < first.index || index > last.index) return -1;
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle] as Row).line.index < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds the bytes that follow. */
  append(bytes: Uint8Array): Edit {
    const wasOpen = this.isOpen;
    const before = this.last;
    const data = joined(this.#open, bytes);
    const begin = this.to - this.#open.length;
    const found = split(data, begin);
    const index = before ? before.index + (wasOpen || this.#continues ? 0 : 1) : 0;
    const start = wasOpen ? (before?.start ?? PLAIN) : (before?.shown.end ?? PLAIN);
    const lines = logLines(found, index, start);
    const first = lines[0];
    if (wasOpen && before && first) {
      first.isOpened = before.isOpened;
      first.isWhole = before.isWhole;
      this.dropped -= before.shown.dropped;
    }
    let removed = 0;
    if (wasOpen) while (this.rows.at(-1 - removed)?.line === before) removed += 1;
    this.#open = data.subarray(data.lastIndexOf(10) + 1).slice();
    this.#continues = this.#open.length > LONGEST_OPEN;
    if (this.#continues) this.#open = new Uint8Array();
    this.to += bytes.length;
    return this.#edit(this.rows.length - removed, removed, lines);
  }

  /** Adds the bytes before: whole lines, or a part of a line that is longer than what is read at a time. */
  prepend(bytes: Uint8Array, isPartOfLine = false): Edit {
    const skipped = isPartOfLine ? firstCharacter(bytes) : 0;
    const found = split(bytes.subarray(skipped), this.from - bytes.length + skipped);
    const index = (this.rows[0]?.line.index ?? 0) - found.length + (isPartOfLine ? 1 : 0);
    const lines = logLines(found, index);
    this.from -= bytes.length;
    const edit = this.#edit(0, 0, lines);
    this.#restyle(lines.length);
    return edit;
  }

  /** Forgets what is above, down to this many bytes. */
  dropAbove(kept: number): Edit | null {
    const at = this.rowAt(Math.max(this.from, this.to - kept));
    const first = this.rows[at]?.line;
    if (!at || !first) return null;
    this.from = first.offset;
    return this.#edit(0, at, []);
  }

  /** Forgets what is below, down to this many bytes. */
  dropBelow(kept: number): Edit | null {
    if (this.to - this.from <= kept) return null;
    const at = this.rowAt(this.from + kept);
    const first = this.rows[at]?.line;
    if (!at || !first) return null;
    this.to = first.offset;
    this.#open = new Uint8Array();
    return this.#edit(at, this.rows.length - at, []);
  }

  /** Shows a line in another way: its states, or all of it. */
  show(line: LogLine, changed: { isOpened?: boolean; isWhole?: boolean }): Edit | null {
    const at = this.rows.findIndex((row) => row.line === line);
    if (at < 0) return null;
    let removed = 1;
    while (this.rows[at + removed]?.line === line) removed += 1;
    Object.assign(line, changed);
    const rows = rowsOf(line);
    this.rows.splice(at, removed, ...rows);
    return { at, removed, rows };
  }

  #edit(at: number, removed: number, lines: readonly LogLine[]): Edit {
    const rows: Row[] = [];
    for (const line of lines) {
      this.dropped += line.shown.dropped;
      rows.push(...rowsOf(line));
    }
    if (at === this.rows.length - removed) {
      this.rows.length = at;
      for (const row of rows) this.rows.push(row); // not as arguments: they may be a hundred thousand
    } else {
      const rest = this.rows.slice(at + removed);
      this.rows.length = at;
      for (const row of rows) this.rows.push(row);
      for (const row of rest) this.rows.push(row);
    }
    return { at, removed, rows };
  }

  /** Lines after others were added above: the style of these may continue in them. */
  #restyle(begin: number): void {
    let at = begin;
    let style = this.rows[at - 1]?.line.shown.end ?? PLAIN;
    while (at < this.rows.length) {
      const { line } = this.rows[at] as Row;
      if (line.start === style) return;
      const { isOpened, isWhole } = line;
      const made = Object.assign(logLine(line, line.index, style), { isOpened, isWhole });
      for (const row of rowsOf(made)) {
        this.rows[at] = row;
        at += 1;
      }
      style = made.shown.end;
    }
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (!first.length) return second;
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
