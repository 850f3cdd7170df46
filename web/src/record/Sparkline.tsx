import type { Json } from "../ui/exactJson";
import { shortNumber } from "./recordFacts";

const WIDTH = 320;
const HEIGHT = 64;

export interface SparklineProps {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: Json | undefined])[];
}

/** A small curve with its least and largest value; what is no finite number is a gap. */
export function Sparkline({ label, points }: SparklineProps) {
  const finite = points.filter((point): point is readonly [number, number] => Number.isFinite(point[1]));
  if (!finite.length) return <p class="sparkline-none">no finite number</p>;
  const ys = finite.map(([, y]) => y);
  const [low, high] = [ys.reduce((a, b) => Math.min(a, b)), ys.reduce((a, b) => Math.max(a, b))];
  const [first, last] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0];
  const place = ([x, y]: readonly [number, number]) =>
    [((x - first) / (last - first || 1)) * WIDTH, HEIGHT - 2 - ((y - low) / (high - low || 1)) * (HEIGHT - 4)]
      .map((each) => each.toFixed(1))
      .join(" ");
  let path = "";
  let isGap = true;
  for (const [x, y] of points) {
    if (typeof y === "number" && Number.isFinite(y)) {
      path += `${isGap ? "M" : "L"}${place([x, y])}`;
      isGap = false;
    } else isGap = true;
  }
  return (
    <div class="sparkline">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <path
          d={path}
          fill="none"
          stroke="var(--series-1)"
          stroke-width="1.5"
          vector-effect="non-scaling-stroke"
        />
      </svg>
      <span>{shortNumber(high)}</span>
      <span>{shortNumber(low)}</span>
    </div>
  );
}
