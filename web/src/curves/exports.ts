// Files of what is shown: SVG, PNG made of it, and CSV.
import type { ChartLines, Line } from "./lines";
import type { Axis, Curve, Run } from "./model";
import { exactValue, linearTicks, logLabel, logTicks, tickLabel } from "./ticks";
import { axisName, position } from "./words";

export interface Exported {
  readonly key: string;
  readonly chart: ChartLines;
  readonly axis: Axis;
  readonly isXLog: boolean;
  readonly isLog: boolean;
}

const WIDTH = 960;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 20;
const TOP = 40;
const BOTTOM = 36;
const LEGEND_ROW = 18;
const FONT = "Inter, system-ui, sans-serif";

/** How a line ends whose run did not complete, as the charts draw it. */
const MARKS: Readonly<Record<string, { token: string; outline: string; inner?: string }>> = {
  FAILED: {
    token: "--bad",
    outline: "M2.5-6 6-2.5v5L2.5 6h-5L-6 2.5v-5L-2.5-6z",
    inner: "m-2.3-2.3 4.6 4.6m-4.6 0 4.6-4.6",
  },
  CANCELLED: { token: "--can", outline: "M-4.5-4.5h9v9h-9z" },
  RUNNING: { token: "--run", outline: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z" },
};

/** Charts below each other as an SVG, with their legend. */
export function svgOf(
  charts: readonly Exported[],
  colours: (token: string) => string,
  nameOf: (line: Line) => string,
): string {
  const parts: string[] = [];
  let top = 0;
  for (const each of charts) {
    const lines = each.chart.lines.filter((line) => line.attempt === null).slice(0, 24);
    parts.push(`<g transform="translate(0 ${top})">${chartSvg(each, colours, nameOf, lines)}</g>`);
    top += HEIGHT + Math.ceil(lines.length / 3) * LEGEND_ROW + 16;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}" font-family="${FONT}" font-size="11"><rect width="100%" height="100%" fill="${colours("--surface")}"/>${parts.join("")}</svg>`;
}

function chartSvg(
  { key, chart, axis, isXLog, isLog }: Exported,
  colours: (token: string) => string,
  nameOf: (line: Line) => string,
  listed: readonly Line[],
): string {
  const width = WIDTH - LEFT - RIGHT;
  const height = HEIGHT - TOP - BOTTOM;
  const across = scale(chart.x.least, chart.x.largest, isXLog, LEFT, width);
  const down = scale(chart.y.least, chart.y.largest, isLog, TOP + height, -height);
  const text = (x: number, y: number, anchor: string, words: string, token = "--ink3", extra = "") =>
    `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${colours(token)}"${extra}>${escaped(words)}</text>`;
  const parts = [text(LEFT, 24, "start", key, "--ink", ' font-size="13" font-weight="600"')];
  const yTicks = isLog
    ? [...logTicks(chart.y.least, chart.y.largest, 7).labelled]
    : linearTicks(chart.y.least, chart.y.largest, 7);
  const yStep = Math.abs((yTicks[1] ?? 1) - (yTicks[0] ?? 0));
  for (const value of yTicks) {
    const y = down(value);
    parts.push(`<path d="M${LEFT} ${round(y)}h${width}" stroke="${colours("--line")}"/>`);
    parts.push(text(LEFT - 8, y + 4, "end", isLog ? logLabel(value) : tickLabel(value, yStep)));
  }
  const xTicks = isXLog
    ? [...logTicks(chart.x.least, chart.x.largest, 8).labelled]
    : linearTicks(chart.x.least, chart.x.largest, 8);
  const xStep = Math.abs((xTicks[1] ?? 1) - (xTicks[0] ?? 0));
  for (const value of xTicks) {
    const word =
      axis === "time" || axis === "relative"
        ? position(axis, value)
        : isXLog
          ? logLabel(value)
          : tickLabel(value, xStep);
    parts.push(text(across(value), TOP + height + 18, "middle", word));
  }
  parts.push(text(LEFT + width, TOP + height + 32, "end", axisName(axis, chart.isNumbered)));
  const clip = `clip-${escaped(key).replace(/[^a-zA-Z0-9]/g, "-")}`;
  parts.push(
    `<clipPath id="${clip}"><rect x="${LEFT}" y="${TOP}" width="${width}" height="${height}"/></clipPath><g clip-path="url(#${clip})" fill="none" stroke-linejoin="round">`,
  );
  for (const line of chart.lines) {
    const colour = colours(line.stroke.token);
    const dash = line.stroke.dash.length ? ` stroke-dasharray="${line.stroke.dash.join(" ")}"` : "";
    if (line.band) {
      const upper = [...line.x].map(
        (x, index) => `${round(across(x))} ${round(down(line.band?.high[index] as number))}`,
      );
      const lower = [...line.x]
        .map((x, index) => `${round(across(x))} ${round(down(line.band?.low[index] as number))}`)
        .reverse();
      const points = [...upper, ...lower].filter((point) => !point.includes("NaN"));
      parts.push(`<path d="M${points.join("L")}z" fill="${colour}" fill-opacity="0.15"/>`);
    }
    if (line.raw)
      parts.push(
        `<path d="${path(line.x, line.raw, across, down)}" stroke="${colour}" stroke-opacity="0.3"/>`,
      );
    parts.push(
      `<path d="${path(line.x, line.y, across, down, line.raw ? null : line)}" stroke="${colour}" stroke-width="${line.stroke.isPlain || line.attempt !== null ? 1 : 1.5}"${dash}/>`,
    );
  }
  parts.push("</g>");
  for (const line of chart.lines) {
    for (const gap of line.gaps.filter((each) => each.isFinal)) {
      const [x, y] = [across(gap.x), down(gap.y)];
      if (Number.isFinite(x + y)) {
        parts.push(
          `<g transform="translate(${round(x)} ${round(y)})" fill="${colours("--surface")}" stroke="${colours(line.stroke.token)}" stroke-width="1.5"><circle r="7"/><path d="m-3-3 6 6m-6 0 6-6"/></g>`,
        );
        const words = `${gap.word} ${gap.isAbout ? "by" : "from"} ${position(axis, gap.from)}`;
        parts.push(text(x + 12, y + 4, "start", words, "--ink2"));
      }
    }
    if (line.end) {
      const { status } = line.end;
      const [x, y] = [across(line.end.x), down(line.end.y)];
      const mark = MARKS[status];
      const isInside = x >= LEFT - 1 && x <= LEFT + width + 1 && y >= TOP - 1 && y <= TOP + height + 1;
      if (mark && isInside) {
        parts.push(
          `<g transform="translate(${round(x)} ${round(y)})" stroke="${colours("--surface")}" stroke-width="2"><title>${escaped(status)}</title><path d="${mark.outline}" fill="${colours(mark.token)}"/>${mark.inner ? `<path d="${mark.inner}" fill="none" stroke-width="1.6"/>` : ""}</g>`,
        );
      }
    }
  }
  listed.forEach((line, index) => {
    const x = LEFT + (index % 3) * (width / 3);
    const y = HEIGHT + Math.floor(index / 3) * LEGEND_ROW + 8;
    const dash = line.stroke.dash.length ? ` stroke-dasharray="${line.stroke.dash.join(" ")}"` : "";
    parts.push(
      `<path d="M${round(x)} ${y}h18" stroke="${colours(line.stroke.token)}" stroke-width="2.5"${dash}/>`,
    );
    parts.push(text(x + 24, y + 4, "start", nameOf(line).slice(0, 44), "--ink2"));
  });
  return parts.join("");
}

function path(
  x: Float64Array,
  y: Float64Array,
  across: (value: number) => number,
  down: (value: number) => number,
  range: Line | null = null,
): string {
  const parts: string[] = [];
  let isDrawing = false;
  for (let index = 0; index < x.length; index += 1) {
    const left = across(x[index] as number);
    const top = down(y[index] as number);
    if (!Number.isFinite(left) || !Number.isFinite(top)) {
      isDrawing = false;
      continue;
    }
    const at = `${round(left)} `;
    const points =
      range?.min && range.max
        ? [down(range.min[index] as number), down(range.max[index] as number), top]
        : [top];
    for (const point of points) {
      if (!Number.isFinite(point)) continue;
      parts.push(`${isDrawing ? "L" : "M"}${at}${round(point)}`);
      isDrawing = true;
    }
  }
  return parts.join("");
}

function scale(
  least: number,
  largest: number,
  isLog: boolean,
  from: number,
  size: number,
): (value: number) => number {
  if (!isLog) return (value) => from + ((value - least) / (largest - least)) * size;
  const [first, last] = [Math.log10(least), Math.log10(largest)];
  return (value) => (value > 0 ? from + ((Math.log10(value) - first) / (last - first)) * size : Number.NaN);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** A text in XML: without what it gives a meaning, and without characters that it does not allow. */
export function escaped(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return [...text]
    .map((letter) => names[letter] ?? (isAllowed(letter.codePointAt(0) as number) ? letter : "\ufffd"))
    .join("");
}

function isAllowed(code: number): boolean {
  const isControl = code < 0x20 && code !== 9 && code !== 10 && code !== 13;
  return !isControl && !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfffe && code !== 0xffff;
}

/** The points that are shown, a row each; numbers as `exp metrics --format csv` writes them. */
export function csvOf(
  curves: readonly { key: string; curves: readonly Curve[] }[],
  runs: readonly Run[],
  axis: string,
): string {
  const byId = new Map(runs.map((run) => [run.id, run]));
  const isSampled = curves.some((each) => each.curves.some((curve) => curve.min));
  const rows = [["prefix", "task", "key", "attempt", axis, "value", ...(isSampled ? ["min", "max"] : [])]];
  for (const { key, curves: own } of curves) {
    for (const curve of own) {
      const run = byId.get(curve.run);
      if (!run) continue;
      for (let index = 0; index < curve.x.length; index += 1) {
        const value = exactValue(curve.last[index] as number);
        rows.push([
          run.prefix,
          run.task ?? "",
          key,
          curve.attempt === null ? "" : String(curve.attempt),
          exactValue(curve.x[index] as number),
          value,
          ...(isSampled
            ? [
                curve.min ? exactValue(curve.min[index] as number) : value,
                curve.max ? exactValue(curve.max[index] as number) : value,
              ]
            : []),
        ]);
      }
    }
  }
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A cell: quoted where needed, and no formula for a spreadsheet. */
function cell(text: string): string {
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^-?(\d|inf$)/.test(text);
  const plain = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** Saves a file. */
export function save(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** An SVG as PNG, at twice its size. */
export async function pngOf(svg: string): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width * 2;
    canvas.height = image.height * 2;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large."))));
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}
