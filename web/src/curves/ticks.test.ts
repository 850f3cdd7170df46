import { expect, test } from "vitest";
import { durationTicks, exactValue, linearTicks, logTicks, shortValue, tickLabel } from "./ticks";

test("linear ticks are multiples of 1, 2 or 5", () => {
  expect(linearTicks(0, 60, 6)).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(linearTicks(-0.31, 0.32, 4)).toEqual([-0.2, 0, 0.2]);
  expect(linearTicks(7, 7, 5)).toEqual([7]);
});

test("logarithmic ticks have the decades as labels and others between", () => {
  const { all, labelled } = logTicks(0.0008, 3, 6);
  expect([...labelled]).toEqual([0.001, 0.01, 0.1, 1]);
  expect(all).toContain(0.02);
  expect(all[0]).toBe(0.0008);
});

test("a range within a decade has labels between", () => {
  expect([...logTicks(1.5, 6, 6).labelled]).toEqual([2, 5]);
});

test("ticks of durations are whole minutes and hours", () => {
  expect(durationTicks(0, 300, 6)).toEqual([0, 60, 120, 180, 240, 300]);
});

test("labels have the digits of their step", () => {
  expect(tickLabel(0.30000000000000004, 0.1)).toBe("0.3");
  expect(tickLabel(20_000, 10_000)).toBe("20k");
  expect(tickLabel(0, 0.1)).toBe("0");
});

test("short values have four digits that count", () => {
  expect([0.00961234, 1234.5678, 12, 1.2e-7, Number.NaN, -Infinity].map(shortValue)).toEqual([
    "0.0096",
    "1234.6",
    "12",
    "1.200e-7",
    "NaN",
    "−∞",
  ]);
});

test("exact values are those that Python writes", () => {
  expect([1e-7, 1.5e300, 0.1 + 0.2, 3, Number.NaN, Infinity, 1e16, 123456.789].map(exactValue)).toEqual([
    "1e-07",
    "1.5e+300",
    "0.30000000000000004",
    "3",
    "nan",
    "inf",
    "1e+16",
    "123456.789",
  ]);
});

test("no range makes ticks without end", () => {
  expect(logTicks(0, 10, 5).all).toEqual([]);
  expect(logTicks(-1, 10, 5).all).toEqual([]);
  expect(linearTicks(1.79e18, 1.79e18 + 512, 5).length).toBeLessThan(8);
});
