// The curves of parallel axes: from axis to axis, level where they cross one.

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The path through points, the distance to each control point being half of that of the axes. */
export function pathThrough(points: readonly Point[]): string {
  const parts: string[] = [];
  for (const [index, { x, y }] of points.entries()) {
    const before = points[index - 1];
    if (!before) parts.push(`M${fixed(x)} ${fixed(y)}`);
    else {
      const middle = fixed((before.x + x) / 2);
      parts.push(`C${middle} ${fixed(before.y)} ${middle} ${fixed(y)} ${fixed(x)} ${fixed(y)}`);
    }
  }
  return parts.join("");
}

/** How far a curve has come at a share of the way between two axes, from 0 to 1. */
export function progress(share: number): number {
  let [low, high] = [0, 1];
  for (let round = 0; round < 16; round += 1) {
    const middle = (low + high) / 2;
    const x = 1.5 * middle - 1.5 * middle ** 2 + middle ** 3;
    if (x < share) low = middle;
    else high = middle;
  }
  const at = (low + high) / 2;
  return 3 * at ** 2 - 2 * at ** 3;
}

/** The index of the curve that is nearest to a point; null if none is near. */
export function nearest(
  curves: readonly (readonly Point[])[],
  at: Point,
  within: number,
  isAllowed: (index: number) => boolean = () => true,
): number | null {
  const axes = curves[0] ?? [];
  let segment = axes.findIndex((point, index) => index > 0 && at.x <= point.x);
  if (segment < 1) segment = axes.length - 1;
  const [from, to] = [axes[segment - 1], axes[segment]];
  if (!from || !to || at.x < from.x - within || at.x > to.x + within) return null;
  const share = progress(Math.min(1, Math.max(0, (at.x - from.x) / (to.x - from.x))));
  let best: number | null = null;
  let distance = within;
  for (const [index, curve] of curves.entries()) {
    const [one, other] = [curve[segment - 1], curve[segment]];
    if (!one || !other || !isAllowed(index)) continue;
    const away = Math.abs(one.y + (other.y - one.y) * share - at.y);
    if (away < distance) [best, distance] = [index, away];
  }
  return best;
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}
