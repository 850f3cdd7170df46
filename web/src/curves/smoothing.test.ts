import { expect, test } from "vitest";
import { smoothed } from "./smoothing";

const all = (values: readonly number[], weight: number) => [...smoothed(Float64Array.from(values), weight)];

test("a constant stays what it is from its first point on", () => {
  for (const value of all([3, 3, 3, 3], 0.9)) expect(value).toBeCloseTo(3, 12);
});

test("the average has no bias towards 0", () => {
  const [first, second] = all([1, 2], 0.5);
  expect(first).toBe(1);
  expect(second).toBeCloseTo((0.25 * 1 + 0.5 * 2) / 0.75, 12);
});

test("what is not finite stays a gap, and the average continues after it", () => {
  const values = all([2, Number.NaN, Number.POSITIVE_INFINITY, 2], 0.8);
  expect(values[1]).toBeNaN();
  expect(values[2]).toBe(Number.POSITIVE_INFINITY);
  expect(values[3]).toBeCloseTo(2, 12);
});

test("without a weight, the numbers are returned themselves", () => {
  const values = Float64Array.of(1, 5);
  expect(smoothed(values, 0)).toBe(values);
});
