// Text of a terminal as text with styles: colours are kept, what would rewrite the terminal is dropped and
// counted, and other control characters and directions of text are shown as escapes such as `\x07`.

/** A number is one of the terminal's 16 colours; a text is `#rrggbb`. */
export type Colour = number | string | null;

export interface Style {
  readonly fg: Colour;
  readonly bg: Colour;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly strike: boolean;
  readonly inverse: boolean;
}

export interface Span {
  readonly from: number;
  readonly to: number;
  readonly style: Style;
}

export interface Parsed {
  readonly text: string;
  /** The parts of the text that have a style. */
  readonly spans: readonly Span[];
  /** The style after it, with which the next line begins. */
  readonly end: Style;
  /** How many sequences are not shown. */
  readonly dropped: number;
}

export const PLAIN: Style = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

const MOST_STYLES = 4_096;
const known = new Map<string, Style>([[JSON.stringify(PLAIN), PLAIN]]);

/** The style of this value: equal ones are the same object. */
function interned(style: Style): Style {
  const key = JSON.stringify(style);
  const found = known.get(key);
  if (found) return found;
  if (known.size < MOST_STYLES) known.set(key, style);
  return style;
}

const STRING = "[^\\x07\\x18\\x1a\\x1b\\x80-\\x9f\\n]"; // a character of a title, a link or a picture
const SEQUENCE =
  "\\x1b\\[[0-?]*[ -/]*[@-~]" + // moves of the cursor, modes, colours
  "|\\x9b[0-?]*[ -/]*[@-~]" + // the same in its 8-bit form
  `|(?:\\x1b[\\]PX^_k]|[\\x9d\\x90\\x98\\x9e\\x9f])${STRING}*(?:\\x07|\\x1b\\\\|[\\x18\\x1a\\x9c])` +
  "|\\x1b[\\]PX^_k\\[]" + // the introducer of one that does not end: the rest is text
  "|\\x1b[ -/]*[0-~]"; // character sets, resets and others
const CONTROLS =
  "\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff" +
  "\\u{e0000}-\\u{e007f}";
const SPECIAL = new RegExp(`[${CONTROLS}]`, "u");
const PARTS = new RegExp(`(${SEQUENCE})|[${CONTROLS}]`, "gu");
const SGR = /^..?([0-9;:]*)m$/; // of a whole sequence, after its introducer

/** A text of one line, which begins in a style. */
export function parse(raw: string, start: Style = PLAIN): Parsed {
  if (!SPECIAL.test(raw)) {
    const spans = start === PLAIN || !raw ? [] : [{ from: 0, to: raw.length, style: start }];
    return { text: raw, spans, end: start, dropped: 0 };
  }
  let text = "";
  let style = start;
  let begin = 0; // of the span, in the text
  let read = 0; // in raw
  let dropped = 0;
  const spans: Span[] = [];
  const close = () => {
    if (style !== PLAIN && text.length > begin) spans.push({ from: begin, to: text.length, style });
    begin = text.length;
  };
  for (const match of raw.matchAll(PARTS)) {
    text += raw.slice(read, match.index);
    read = match.index + match[0].length;
    if (!match[1]) {
      text += escaped(match[0]);
      continue;
    }
    const sgr = SGR.exec(match[1]);
    if (!sgr) {
      dropped += 1;
      continue;
    }
    const next = restyled(style, sgr[1] ?? "");
    if (next === style) continue;
    close();
    style = next;
  }
  text += raw.slice(read);
  close();
  return { text, spans, end: style, dropped };
}

/** A character as people see it instead: `\x07`, `\u202e`, `\U000e0001`. */
function escaped(character: string): string {
  if (character === "\r") return "\\r";
  const code = (character.codePointAt(0) ?? 0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

/** The style after a sequence of SGR with these parameters. */
function restyled(before: Style, parameters: string): Style {
  const style: { -readonly [Name in keyof Style]: Style[Name] } = { ...before };
  const codes = parameters.split(";");
  for (let at = 0; at < codes.length; at += 1) {
    const [first = "", ...rest] = (codes[at] as string).split(":");
    const code = Number(first || 0);
    if (code === 38 || code === 48) {
      const given = rest.length ? colonColour(rest) : codes.slice(at + 1).map(Number);
      const [colour, used] = extended(given);
      if (!rest.length) at += used;
      if (colour !== null) style[code === 38 ? "fg" : "bg"] = colour;
    } else if (code === 58 && !rest.length) {
      at += codes[at + 1] === "5" ? 2 : 4; // the colour of the underline
    } else if (code === 0) Object.assign(style, PLAIN);
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = rest[0] !== "0";
    else if (code === 7) style.inverse = true;
    else if (code === 9) style.strike = true;
    else if (code === 21) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 29) style.strike = false;
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code === 39) style.fg = null;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code === 49) style.bg = null;
    else if (code >= 90 && code <= 97) style.fg = code - 82;
    else if (code >= 100 && code <= 107) style.bg = code - 92;
  }
  return interned(style);
}

/** The numbers of `38:2::R:G:B`, in which the third is a colour space, as those of `38;2;R;G;B`. */
function colonColour(rest: string[]): number[] {
  const numbers = rest.map(Number);
  return numbers[0] === 2 && numbers.length >= 5 ? [2, ...numbers.slice(2)] : numbers;
}

/** The colour that `5;N` or `2;R;G;B` means, and how many numbers it took. */
function extended([kind, ...numbers]: number[]): [Colour, number] {
  const bytes = numbers.map((number) => (number >= 0 && number <= 255 ? Math.floor(number) : 0));
  if (kind === 5 && bytes.length) return [indexed(bytes[0] as number), 2];
  if (kind === 2 && bytes.length >= 3) return [hex(bytes.slice(0, 3)), 4];
  return [null, 1];
}

/** A colour of the 256. */
function indexed(index: number): Colour {
  if (index < 16) return index;
  if (index >= 232) return hex(Array(3).fill(8 + 10 * (index - 232)));
  const cube = index - 16;
  const level = (step: number) => (step ? 55 + 40 * step : 0);
  return hex([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

function hex(rgb: number[]): string {
  return `#${rgb.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
