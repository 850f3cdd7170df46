// The path of an edge: straight, with rounded corners.
import type { Point } from "./layout";

const RADIUS = 8;

/** An SVG path along these corners, each rounded as far as its two sides allow. */
export function roundedPath(points: readonly Point[], radius = RADIUS): string {
  const [first, ...rest] = points;
  if (!first) return "";
  const parts = [`M${first.x} ${first.y}`];
  let before = first;
  for (const [index, corner] of rest.entries()) {
    const after = rest[index + 1];
    if (!after) {
      parts.push(`L${corner.x} ${corner.y}`);
      break;
    }
    const near = towards(corner, before, Math.min(radius, length(corner, before) / (index ? 2 : 1)));
    const far = towards(corner, after, Math.min(radius, length(corner, after) / (rest[index + 2] ? 2 : 1)));
    parts.push(`L${near.x} ${near.y}`, `Q${corner.x} ${corner.y} ${far.x} ${far.y}`);
    before = corner;
  }
  return parts.join("");
}

function length(a: Point, b: Point): number {
  return Math.abs(a.x - b.x) + Math.abs(a.y - b.y);
}

/** The point so far from `from` towards `to`. */
function towards(from: Point, to: Point, distance: number): Point {
  return {
    x: from.x + Math.sign(to.x - from.x) * distance,
    y: from.y + Math.sign(to.y - from.y) * distance,
  };
}
