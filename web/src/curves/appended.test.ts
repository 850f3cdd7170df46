import { expect, it } from "vitest";
import { type AppendOptions, extended } from "./appended";
import type { Curve } from "./model";

const ALL: AppendOptions = { axis: "step", begin: 100, from: null, to: null, points: 4 };

function curve(x: number[], others: Partial<Curve> = {}): Curve {
  const values = Float64Array.from(x);
  return {
    run: "r",
    key: "loss",
    attempt: null,
    x: values,
    last: values,
    min: null,
    max: null,
    total: x.length,
    isNumbered: false,
    position: null,
    ...others,
  };
}

const points = (step: (number | null)[], value: (number | string | null)[]) => ({
  step,
  epoch: step.map(() => null),
  time: step.map((_, index) => 110 + index),
  value,
});

it("appends numbers where they lie, NaN and infinities too", () => {
  const found = extended(curve([0, 1]), points([1, 2, 3], [5, null, "-Infinity"]), ALL);
  expect([...(found?.x ?? [])]).toEqual([0, 1, 1, 2, 3]);
  expect([...(found?.last ?? [])]).toEqual([0, 1, 5, Number.NaN, Number.NEGATIVE_INFINITY]);
  expect(found?.total).toBe(5);
  const relative = extended(curve([0, 1]), points([7], [5]), { ...ALL, axis: "relative" });
  expect([...(relative?.x ?? [])]).toEqual([0, 1, 10]);
});

it("a point of a sampled curve is its own least and largest number", () => {
  const wide = { min: Float64Array.of(-1, 0), max: Float64Array.of(1, 2), total: 20 };
  const found = extended(curve([0, 1], wide), points([2], [5]), ALL);
  expect([found?.min?.[2], found?.max?.[2], found?.total]).toEqual([5, 5, 21]);
});

it("leaves out what is outside of the window", () => {
  const before = curve([0, 1]);
  expect(extended(before, points([8, 9], [1, 2]), { ...ALL, from: 0, to: 5 })).toBe(before);
});

it("reads again what goes back, lacks the axis, or has become too much", () => {
  expect(extended(curve([0, 5]), points([4], [1]), ALL)).toBeNull();
  expect(extended(curve([0]), points([null], [1]), ALL)).toBeNull();
  expect(extended(curve([0], { isNumbered: true }), points([1], [1]), ALL)).toBeNull();
  expect(extended(curve([0, 1, 2, 3]), points([4, 5, 6, 7, 8], [1, 1, 1, 1, 1]), ALL)).toBeNull();
});
