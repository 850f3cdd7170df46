import { describe, expect, it } from "vitest";
import { PLAIN, parse } from "./ansi";
import { contrast, luminance, readable, rgb } from "./contrast";
import { LogWindow } from "./LogWindow";
import { logLine, rowsOf, split } from "./lines";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const texts = (window: LogWindow) => window.rows.map((row) => row.text);

describe("parse", () => {
  it("keeps colours as spans, and counts what it drops", () => {
    const parsed = parse("a\x1b[31;1mred\x1b[0m\x1b[2K\x1b]0;title\x07z");
    expect(parsed.text).toBe("aredz");
    expect(parsed.spans).toEqual([{ from: 1, to: 4, style: { ...PLAIN, fg: 1, bold: true } }]);
    expect(parsed.dropped).toBe(2);
    expect(parsed.end).toBe(PLAIN);
  });

  it("knows 256 colours and RGB, with semicolons and with colons", () => {
    for (const code of ["38;2;255;128;0", "38:2::255:128:0", "38:2:255:128:0"]) {
      expect(parse(`\x1b[${code}mx`).end.fg).toBe("#ff8000");
    }
    expect(parse("\x1b[38;5;196m\x1b[48;5;9mx").end).toMatchObject({ fg: "#ff0000", bg: 9 });
  });

  it("shows other control characters and directions as escapes", () => {
    expect(parse("\x07\u202e\x00\u{e0041}\tend").text).toBe("\\x07\\u202e\\x00\\U000e0041\tend");
  });

  it("shows a sequence that does not end as text, and no script or markup as anything but text", () => {
    expect(parse("\x1b]8;;http://x\nno").text).not.toContain("\x1b");
    expect(parse("<img onerror=x>").text).toBe("<img onerror=x>");
  });
});

describe("readable", () => {
  it("moves a colour until it has enough contrast, and leaves one that has", () => {
    for (const [theme, ground] of [
      ["light", "#f4f4f1"],
      ["dark", "#0b0e10"],
    ] as const) {
      for (const colour of ["#ffff00", "#0000ff", "#808080", "#000000", "#ffffff"]) {
        const found = rgb(readable(colour, theme));
        expect(contrast(luminance(found), luminance(rgb(ground)))).toBeGreaterThanOrEqual(4.5);
      }
    }
    expect(readable("#ffff00", "dark")).toBe("#ffff00");
  });
});

describe("lines", () => {
  it("has the byte at which each line begins", () => {
    expect(split(bytesOf("ü\n\nlast"), 10)).toEqual([
      { offset: 10, raw: "ü" },
      { offset: 13, raw: "" },
      { offset: 14, raw: "last" },
    ]);
  });

  it("folds carriage returns to the last state, and opens them", () => {
    const line = logLine({ offset: 0, raw: "1%\r\x1b[32m50%\r100%\r" }, 0, PLAIN);
    expect([line.shown.text, line.states]).toEqual(["100%", 3]);
    expect(line.shown.spans[0]?.style.fg).toBe(2);
    line.isOpened = true;
    expect(rowsOf(line).map((row) => row.text)).toEqual(["1%", "50%", "100%"]);
    expect(logLine({ offset: 0, raw: "windows\r" }, 0, PLAIN)).toMatchObject({ states: 1 });
  });

  it("cuts a long line, but not within a character", () => {
    const line = logLine({ offset: 0, raw: `${"x".repeat(9_999)}😀${"y".repeat(100_000)}` }, 0, PLAIN);
    const [row] = rowsOf(line);
    expect([row?.text.length, row?.cut]).toEqual([9_999, 100_002]);
    line.isWhole = true;
    expect(rowsOf(line)[0]?.cut).toBe(0);
  });
});

describe("LogWindow", () => {
  it("is the same in whatever pieces its bytes come", () => {
    const text = "\x1b[31mone\ntwo ü€😀\n\x1b[0mthree\r3\n\nfive";
    const whole = new LogWindow(0);
    whole.append(bytesOf(text));
    for (const size of [1, 2, 3, 7]) {
      const window = new LogWindow(0);
      const data = bytesOf(text);
      for (let at = 0; at < data.length; at += size) window.append(data.subarray(at, at + size));
      expect(texts(window)).toEqual(texts(whole));
      expect(window.rows.map((row) => [row.line.offset, row.line.index, row.shown.spans])).toEqual(
        whole.rows.map((row) => [row.line.offset, row.line.index, row.shown.spans]),
      );
    }
  });

  it("numbers lines from what is known of one byte, above and below it", () => {
    const data = bytesOf("one\ntwo\n\x1b[31mthree\nfour\n");
    const window = new LogWindow(8);
    window.append(data.subarray(8));
    window.learn(data.length, 5);
    window.prepend(data.subarray(0, 8));
    expect(texts(window)).toEqual(["one", "two", "three", "four"]);
    expect(window.rows.map((row) => window.numberOf(row.line))).toEqual([1, 2, 3, 4]);
    expect(window.rowOf(3)).toBe(2);
    expect(window.rowAt(9)).toBe(2);
  });

  it("continues a style from lines that are loaded above later", () => {
    const data = bytesOf("\x1b[31mone\ntwo\n\x1b[0mthree\n");
    const window = new LogWindow(9);
    window.append(data.subarray(9));
    expect(window.rows[0]?.shown.spans).toEqual([]);
    window.prepend(data.subarray(0, 9));
    expect(window.rows[1]?.shown.spans[0]?.style.fg).toBe(1);
    expect(window.rows[2]?.shown.spans).toEqual([]);
  });

  it("forgets lines at both ends, and keeps the numbers of the others", () => {
    const window = new LogWindow(0);
    window.append(bytesOf(Array.from({ length: 100 }, (_, at) => `line ${at + 1}\n`).join("")));
    window.learn(0, 1);
    window.dropAbove(100);
    window.dropBelow(50);
    const numbers = window.rows.map((row) => window.numberOf(row.line));
    expect(texts(window)).toEqual(numbers.map((number) => `line ${number}`));
    expect(window.from).toBeGreaterThan(0);
    expect(window.to - window.from).toBeLessThanOrEqual(50);
  });

  it("shows parts of a line that is too long to be read at once", () => {
    const window = new LogWindow(4);
    window.append(bytesOf("xyz\nend\n"));
    window.prepend(bytesOf("üaa").subarray(1), true);
    expect(texts(window)).toEqual(["aa", "xyz", "end"]);
    window.learn(8, 2);
    expect(window.rows.map((row) => window.numberOf(row.line))).toEqual([1, 1, 2]);
  });
});
