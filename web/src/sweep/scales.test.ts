import { expect, test } from "vitest";
import { roundTicks, scaleOf, wantsLog } from "./scales";

test("a param of powers of two is logarithmic, and each of its values is a tick", () => {
  const scale = scaleOf([8, 64, 16, 32], { isParam: true });
  expect(scale.kind).toBe("log");
  expect(scale.ticks.map((tick) => tick.label)).toEqual(["8", "16", "32", "64"]);
  expect(scale.place(16)).toBeCloseTo(1 / 3);
});

test("evenly spaced values, few of them, and values below zero are linear", () => {
  expect(wantsLog([1, 2, 3, 4, 5, 6], true)).toBe(false);
  expect(wantsLog([1, 10], true)).toBe(false);
  expect(wantsLog([-1, 1000], false)).toBe(false);
  expect(wantsLog([0.001, 0.5], false)).toBe(true);
});

test("a reversed scale has the smallest value on top, and inverts itself", () => {
  const scale = scaleOf([0.001, 0.5, 0.2], { isReversed: true });
  expect(scale.place(0.001)).toBe(1);
  expect(scale.invert(scale.place(0.2) ?? 0)).toBeCloseTo(0.2);
});

test("missing values and those that are not finite have no place", () => {
  const scale = scaleOf([1, undefined, "NaN", "Infinity", 3]);
  expect(scale.kind).toBe("linear");
  expect([undefined, Number.NaN, "-Infinity", 2].map(scale.place)).toEqual([null, null, null, 0.5]);
});

test("values of several types are categories, and 1 is not the text 1", () => {
  const scale = scaleOf(["1", 1, true, null, "adam"]);
  expect(scale.kind).toBe("category");
  expect(scale.ticks.map((tick) => tick.label)).toEqual(["1", "true", '"1"', "adam", "null"]);
  expect(scale.place("1")).not.toBe(scale.place(1));
});

test("one value, and a thousand, have a scale", () => {
  expect(scaleOf([7, 7]).place(7)).toBe(0.5);
  const many = scaleOf(
    Array.from({ length: 1000 }, (_, index) => `run-${index}`),
    { gap: 0.1 },
  );
  expect(many.ticks.length).toBeLessThan(12);
});

test("round ticks enclose their range", () => {
  expect(roundTicks(0.883, 0.974)).toEqual([0.88, 0.9, 0.92, 0.94, 0.96, 0.98]);
  expect(roundTicks(3, 3).at(0)).toBeLessThan(3);
});
