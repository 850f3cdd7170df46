import { expect, test } from "vitest";
import { absolute, clockText, count, dateText } from "./format";

test("counts have commas, of whatever size and sign", () => {
  expect([0, 999, 1284, -123, -1234567, 1e21].map(count)).toEqual([
    "0",
    "999",
    "1,284",
    "-123",
    "-1,234,567",
    "1e+21",
  ]);
});

test("a time is that of the reader, with the zone", () => {
  const date = new Date(2026, 0, 5, 4, 3, 2);
  expect(`${dateText(date)} ${clockText(date)}`).toBe("2026-01-05 04:03:02");
  expect(absolute(date.toISOString())).toMatch(/^2026-01-05 04:03:02 UTC([+-]\d\d:\d\d)?$/);
});
