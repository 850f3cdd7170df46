import { useEffect, useRef } from "preact/hooks";
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

/** Numbers as colours: faint is the least, strong the largest; what is no finite number is left out. */
export function HeatMap({ label, columns, left, right, bottom, top, isSquare = false }: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const height = columns.reduce((most, column) => Math.max(most, column.length), 0);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const column of columns) {
    for (const value of column) {
      if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
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
  if (low > high) return <p class="panel-note">It has no finite number.</p>;
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
        {Array.from({ length: STEPS }, (_, step) => (
          <span key={String(step)} style={{ background: `var(--sequence-${step + 1})` }} />
        ))}
        {shortNumber(high)}
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
  const colors = Array.from({ length: STEPS }, (_, step) =>
    rgb(tokens.getPropertyValue(`--sequence-${step + 1}`)),
  );
  const ground = rgb(tokens.getPropertyValue("--surface"));
  const scale = [ground, ...colors];
  const image = context.createImageData(canvas.width, canvas.height);
  columns.forEach((column, x) => {
    column.forEach((value, index) => {
      if (!Number.isFinite(value)) return;
      const place = ((value - low) / (high - low || 1)) * (scale.length - 1);
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
  const hex = color.trim().replace("#", "");
  return [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}
