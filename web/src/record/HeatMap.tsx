import { useEffect, useRef } from "preact/hooks";
import { count } from "../ui/format";
import { shortNumber } from "./recordFacts";

export interface HeatMapProps {
  readonly label: string;
  /** From left to right; the first value of each is at the bottom. */
  readonly columns: readonly (readonly number[])[];
  readonly left: string;
  readonly right: string;
  readonly bottom: string;
  readonly top: string;
  /** Whether a cell is as wide as it is high. */
  readonly isSquare?: boolean;
}

const STEPS = 5;

/** The tokens of the colours from the least to the largest number; nothing, which is no number of a count, is the ground. */
function scaleFrom(low: number): string[] {
  const steps = Array.from({ length: STEPS }, (_, step) => `--sequence-${step + 1}`);
  return low === 0 ? ["--surface", ...steps] : steps;
}

/** Numbers as colours: faint is the least, strong the largest; what is no finite number is left out, and counted. */
export function HeatMap({ label, columns, left, right, bottom, top, isSquare = false }: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const height = columns.reduce((most, column) => Math.max(most, column.length), 0);
  let [finite, total] = [0, 0];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const column of columns) {
    for (const value of column) {
      total += 1;
      if (!Number.isFinite(value)) continue;
      [low, high] = [Math.min(low, value), Math.max(high, value)];
      finite += 1;
    }
  }
  const scale = scaleFrom(low);
  useEffect(() => {
    const draw = () => canvas.current && paint(canvas.current, columns, height, low, high);
    draw();
    // a change of the theme changes the colours
    const themes = matchMedia("(prefers-color-scheme: dark)");
    const observer = new MutationObserver(draw);
    themes.addEventListener("change", draw);
    observer.observe(document.documentElement, { attributes: true });
    return () => {
      themes.removeEventListener("change", draw);
      observer.disconnect();
    };
  }, [columns, height, low, high]);
  if (low > high) return <p class="data-panel-note">It has no finite number.</p>;
  return (
    <div class="heat-map">
      <div class="heat-map-drawn">
        <span class="heat-map-top">{top}</span>
        <span class="heat-map-bottom">{bottom}</span>
        <canvas
          ref={canvas}
          role="img"
          aria-label={`${label}: from ${shortNumber(low)} to ${shortNumber(high)}`}
          style={
            isSquare ? { aspectRatio: `${columns.length} / ${height}`, width: "auto", height: "240px" } : {}
          }
        />
        <span class="heat-map-left">{left}</span>
        <span class="heat-map-right">{right}</span>
      </div>
      <p class="heat-map-scale">
        {shortNumber(low)}
        {scale.map((token) => (
          <span key={token} style={{ background: `var(${token})` }} />
        ))}
        {shortNumber(high)}
        {finite < total ? (
          <small class="heat-map-blank">{count(total - finite)} not finite: blank</small>
        ) : null}
      </p>
    </div>
  );
}

function paint(
  canvas: HTMLCanvasElement,
  columns: readonly (readonly number[])[],
  height: number,
  low: number,
  high: number,
): void {
  canvas.width = Math.max(1, columns.length);
  canvas.height = Math.max(1, height);
  const context = canvas.getContext("2d");
  if (!context) return;
  const tokens = getComputedStyle(document.documentElement);
  const scale = scaleFrom(low).map((token) => rgb(tokens.getPropertyValue(token)));
  const [ground = []] = scale;
  // halves, because the distance of two numbers may be none
  const range = high / 2 - low / 2 || 1;
  const image = context.createImageData(canvas.width, canvas.height);
  columns.forEach((column, x) => {
    column.forEach((value, index) => {
      if (!Number.isFinite(value)) return;
      const place = ((value / 2 - low / 2) / range) * (scale.length - 1);
      const step = Math.min(scale.length - 2, Math.floor(place));
      const [from, to] = [scale[step] ?? ground, scale[step + 1] ?? ground];
      const at = ((canvas.height - 1 - index) * canvas.width + x) * 4;
      for (let part = 0; part < 3; part += 1) {
        image.data[at + part] = (from[part] ?? 0) + ((to[part] ?? 0) - (from[part] ?? 0)) * (place - step);
      }
      image.data[at + 3] = 255;
    });
  });
  context.putImageData(image, 0, 0);
}

function rgb(color: string): number[] {
  let hex = color.trim().replace("#", "");
  if (hex.length === 3) hex = hex.replace(/./g, "$&$&");
  return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}
