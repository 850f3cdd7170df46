// Lines of a log: from bytes, with the states that carriage returns overwrote, and cut where they are very long.
import { type Parsed, PLAIN, parse, type Style } from "./ansi";

export const LONGEST = 10_000; // characters of a line that are shown at first

/** A line as it is in the file. */
export interface RawLine {
  /** The byte at which it begins. */
  readonly offset: number;
  readonly raw: string;
}

/** What is shown of a line. */
export interface LogLine extends RawLine {
  /** Counts the lines of a window, from any number: differences are those of line numbers. */
  readonly index: number;
  /** The style in which it begins, of the lines before. */
  readonly start: Style;
  readonly shown: Parsed;
  /** How many states it had: more than one if carriage returns overwrote them. */
  readonly states: number;
  /** Whether the states are shown, one below the other. */
  isOpened: boolean;
  /** Whether all of it is shown, however long. */
  isWhole: boolean;
}

/** One line of the shown text. */
export interface Row {
  readonly line: LogLine;
  readonly text: string;
  readonly shown: Parsed;
  /** Whether it is the first of its line. */
  readonly isFirst: boolean;
  /** How many characters are cut off. */
  readonly cut: number;
}

const BREAK = 10;

/**
 * The lines of bytes that begin where a line begins; the last one may be unfinished.
 *
 * @param bytes what was read
 * @param offset the byte of the file at which they begin
 */
export function split(bytes: Uint8Array, offset: number): RawLine[] {
  if (!bytes.length) return [];
  const endsLine = bytes[bytes.length - 1] === BREAK;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  // A character that the end cuts is not shown until the rest of it is there.
  const texts = decoder.decode(bytes, { stream: !endsLine }).split("\n");
  if (endsLine) texts.pop();
  let begin = 0;
  return texts.map((raw) => {
    const line = { offset: offset + begin, raw };
    begin = bytes.indexOf(BREAK, begin) + 1;
    return line;
  });
}

/** Where the first line begins after a byte at which reading began; -1 if no line does. */
export function firstLine(bytes: Uint8Array): number {
  const at = bytes.indexOf(BREAK);
  return at < 0 ? -1 : at + 1;
}

/** Where a character of UTF-8 begins: bytes of one that began before are passed. */
export function firstCharacter(bytes: Uint8Array): number {
  let at = 0;
  while (at < 4 && at < bytes.length && ((bytes[at] as number) & 0xc0) === 0x80) at += 1;
  return at;
}

/** A line with what is shown of it. */
export function logLine({ offset, raw }: RawLine, index: number, start: Style): LogLine {
  const flags = { isOpened: false, isWhole: false };
  if (!raw.includes("\r"))
    return { offset, raw, index, start, shown: parse(raw, start), states: 1, ...flags };
  let style = start;
  let shown: Parsed | null = null;
  let states = 0;
  let dropped = 0;
  for (const state of raw.split("\r")) {
    const parsed = parse(state, style);
    style = parsed.end;
    dropped += parsed.dropped;
    if (!parsed.text) continue;
    shown = parsed;
    states += 1;
  }
  const last = shown ?? { text: "", spans: [], end: style, dropped: 0 };
  return {
    offset,
    raw,
    index,
    start,
    shown: { ...last, end: style, dropped },
    states: Math.max(1, states),
    ...flags,
  };
}

/** The states of a line, the oldest first. */
function statesOf(line: LogLine): Parsed[] {
  let style = line.start;
  const found = line.raw.split("\r").map((state) => {
    const parsed = parse(state, style);
    style = parsed.end;
    return parsed;
  });
  return found.filter((parsed) => parsed.text);
}

/** What is shown of a line: one row, or one for each of its states. */
export function rowsOf(line: LogLine): Row[] {
  const shown = line.isOpened ? statesOf(line) : [line.shown];
  return shown.map((parsed, number) => {
    const length = parsed.text.length;
    const end = line.isWhole || length <= LONGEST ? length : cutAt(parsed.text, LONGEST);
    return {
      line,
      text: end < length ? parsed.text.slice(0, end) : parsed.text,
      shown: parsed,
      isFirst: number === 0,
      cut: length - end,
    };
  });
}

function cutAt(text: string, end: number): number {
  const code = text.charCodeAt(end - 1);
  return code >= 0xd800 && code < 0xdc00 ? end - 1 : end; // not within a pair of surrogates
}

/** Lines with what is shown of them, each in the style in which the one before it ends. */
export function logLines(lines: readonly RawLine[], index: number, start: Style = PLAIN): LogLine[] {
  let style = start;
  return lines.map((line, number) => {
    const made = logLine(line, index + number, style);
    style = made.shown.end;
    return made;
  });
}
