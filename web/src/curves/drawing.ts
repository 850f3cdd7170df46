// Draws lines on a canvas: `project` maps positions and values to its pixels.
import type { ChartLines, Line } from "./lines";

export interface Projection {
  x(value: number): number;
  y(value: number): number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Pixels of the canvas for one of CSS. */
  readonly ratio: number;
}

export type Palette = (token: string) => string;

/** The colours of the page as they are now. */
export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const known = new Map<string, string>();
  return (token) => {
    let colour = known.get(token);
    if (colour === undefined) {
      colour = style.getPropertyValue(token).trim() || "#888888";
      known.set(token, colour);
    }
    return colour;
  };
}

const FAINT = 0.45;
const USUAL = 0.7;
const BAND = 0.15;
const FEW = 6;

/** All lines but the lifted one, which is drawn above them by `drawLifted`. */
export function drawLines(
  context: CanvasRenderingContext2D,
  chart: ChartLines,
  at: Projection,
  colours: Palette,
) {
  context.save();
  context.beginPath();
  context.rect(at.left, at.top, at.width, at.height);
  context.clip();
  context.lineJoin = "round";
  const isFew = chart.lines.filter((line) => line.attempt === null).length <= FEW;
  for (const line of chart.lines) if (line.band) drawBand(context, line, at, colours);
  for (const line of chart.lines) {
    if (isFew && line.raw) drawRaw(context, line, at, colours);
  }
  const inOrder = [...chart.lines].sort(
    (left, right) => Number(right.stroke.isPlain) - Number(left.stroke.isPlain),
  );
  for (const line of inOrder) {
    const isWeak = line.attempt !== null;
    context.globalAlpha = isWeak ? FAINT : line.stroke.isPlain ? 1 : USUAL;
    context.strokeStyle = colours(line.stroke.token);
    context.lineWidth = (line.stroke.isPlain || isWeak ? 1 : 1.5) * at.ratio;
    context.setLineDash(line.stroke.dash.map((part) => part * at.ratio));
    context.beginPath();
    trace(context, line, at);
    context.stroke();
  }
  context.restore();
}

/** The lifted line with a rim, its raw numbers and marks. */
export function drawLifted(context: CanvasRenderingContext2D, line: Line, at: Projection, colours: Palette) {
  context.save();
  context.beginPath();
  context.rect(at.left, at.top, at.width, at.height);
  context.clip();
  context.lineJoin = "round";
  if (line.raw) drawRaw(context, line, at, colours);
  context.beginPath();
  trace(context, line, at);
  context.strokeStyle = colours("--surface");
  context.lineWidth = 5 * at.ratio;
  context.stroke();
  context.strokeStyle = colours(line.stroke.isPlain ? "--ink" : line.stroke.token);
  context.lineWidth = 2.5 * at.ratio;
  context.setLineDash(line.stroke.dash.map((part) => part * at.ratio));
  context.stroke();
  context.restore();
}

function trace(context: CanvasRenderingContext2D, line: Line, at: Projection) {
  const { x, y } = line;
  const isRange = !line.raw && line.min && line.max;
  let isDrawing = false;
  for (let index = 0; index < x.length; index += 1) {
    const value = y[index] as number;
    const left = at.x(x[index] as number);
    if (!Number.isFinite(value) || !Number.isFinite(left)) {
      isDrawing = false;
      continue;
    }
    const top = at.y(value);
    if (isRange) {
      const low = at.y((line.min as Float64Array)[index] as number);
      const high = at.y((line.max as Float64Array)[index] as number);
      if (isDrawing) context.lineTo(left, low);
      else context.moveTo(left, low);
      context.lineTo(left, high);
      context.lineTo(left, top);
    } else if (isDrawing) context.lineTo(left, top);
    else {
      context.moveTo(left, top);
      const next = y[index + 1];
      if (next === undefined || !Number.isFinite(next)) context.lineTo(left + 0.5 * at.ratio, top);
    }
    isDrawing = true;
  }
}

function drawRaw(context: CanvasRenderingContext2D, line: Line, at: Projection, colours: Palette) {
  const raw = line.raw;
  if (!raw) return;
  context.save();
  context.globalAlpha = FAINT;
  context.strokeStyle = colours(line.stroke.isPlain ? "--ink" : line.stroke.token);
  context.lineWidth = at.ratio;
  context.beginPath();
  trace(context, { ...line, y: raw, raw: null }, at);
  context.stroke();
  context.restore();
}

function drawBand(context: CanvasRenderingContext2D, line: Line, at: Projection, colours: Palette) {
  const { band, x } = line;
  if (!band) return;
  context.save();
  context.globalAlpha = BAND;
  context.fillStyle = colours(line.stroke.token);
  let first = 0;
  while (first < x.length) {
    while (first < x.length && !Number.isFinite(band.low[first] as number)) first += 1;
    let end = first;
    while (end < x.length && Number.isFinite(band.low[end] as number)) end += 1;
    if (end > first) {
      context.beginPath();
      for (let index = first; index < end; index += 1)
        context.lineTo(at.x(x[index] as number), at.y(band.high[index] as number));
      for (let index = end - 1; index >= first; index -= 1) {
        const low = at.y(band.low[index] as number);
        context.lineTo(at.x(x[index] as number), Number.isFinite(low) ? low : at.top + at.height);
      }
      context.fill();
    }
    first = end + 1;
  }
  context.restore();
}

/** The marks of gaps and of ends that are no success, with words beside those of few lines. */
export function drawMarks(
  context: CanvasRenderingContext2D,
  chart: ChartLines,
  at: Projection,
  colours: Palette,
  {
    word,
    font,
    isNarrow,
  }: { word: (gap: { from: number; word: string }) => string; font: string; isNarrow: boolean },
) {
  context.save();
  context.font = font;
  context.textBaseline = "middle";
  let labelled = 0;
  for (const line of chart.lines) {
    if (line.attempt !== null || line.band) continue;
    const colour = colours(line.stroke.isPlain ? "--ctl" : line.stroke.token);
    for (const gap of line.gaps.slice(-3)) {
      const left = at.x(gap.x);
      const top = inside(at.y(gap.y), at);
      if (!(left >= at.left - 1 && left <= at.left + at.width + 1) || !Number.isFinite(top)) continue;
      ringedCross(context, left, top, colour, colours("--surface"), at.ratio);
      if (gap.isFinal && labelled < 4) {
        labelled += 1;
        const text = isNarrow ? gap.word : word(gap);
        const wide = context.measureText(text).width;
        const isLeft = left + 14 * at.ratio + wide > at.left + at.width;
        context.textAlign = isLeft ? "right" : "left";
        const place = left + (isLeft ? -14 : 14) * at.ratio;
        context.globalAlpha = 0.8;
        context.fillStyle = colours("--surface");
        context.fillRect(isLeft ? place - wide : place, top - 8 * at.ratio, wide, 16 * at.ratio);
        context.globalAlpha = 1;
        context.fillStyle = colours("--ink2");
        context.fillText(text, place, top);
      }
    }
    if (line.end) {
      const left = at.x(line.end.x);
      const top = inside(at.y(line.end.y), at);
      if (left >= at.left - 1 && left <= at.left + at.width + 1 && Number.isFinite(top)) {
        statusMark(context, line.end.status, left, top, colours, at.ratio);
      }
    }
  }
  context.restore();
}

function inside(top: number, at: Projection): number {
  return Math.min(at.top + at.height, Math.max(at.top, top));
}

function ringedCross(
  context: CanvasRenderingContext2D,
  left: number,
  top: number,
  colour: string,
  ground: string,
  ratio: number,
) {
  context.beginPath();
  context.arc(left, top, 7 * ratio, 0, 2 * Math.PI);
  context.fillStyle = ground;
  context.fill();
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.stroke();
  const arm = 3 * ratio;
  context.beginPath();
  context.moveTo(left - arm, top - arm);
  context.lineTo(left + arm, top + arm);
  context.moveTo(left - arm, top + arm);
  context.lineTo(left + arm, top - arm);
  context.stroke();
}

function statusMark(
  context: CanvasRenderingContext2D,
  status: string,
  left: number,
  top: number,
  colours: Palette,
  ratio: number,
) {
  context.save();
  context.translate(left, top);
  context.scale(ratio, ratio);
  context.lineWidth = 2;
  context.strokeStyle = colours("--surface");
  if (status === "FAILED") {
    context.fillStyle = colours("--bad");
    context.beginPath();
    for (let corner = 0; corner < 8; corner += 1) {
      const angle = (Math.PI / 4) * corner + Math.PI / 8;
      context.lineTo(6.5 * Math.cos(angle), 6.5 * Math.sin(angle));
    }
    context.closePath();
    context.stroke();
    context.fill();
    context.lineWidth = 1.6;
    context.beginPath();
    context.moveTo(-2.3, -2.3);
    context.lineTo(2.3, 2.3);
    context.moveTo(2.3, -2.3);
    context.lineTo(-2.3, 2.3);
    context.stroke();
  } else if (status === "CANCELLED") {
    context.fillStyle = colours("--can");
    context.strokeRect(-4.5, -4.5, 9, 9);
    context.fillRect(-4.5, -4.5, 9, 9);
  } else if (status === "RUNNING") {
    context.fillStyle = colours("--run");
    context.beginPath();
    context.arc(0, 0, 3.5, 0, 2 * Math.PI);
    context.stroke();
    context.fill();
  }
  context.restore();
}
