import { expect, test } from "vitest";
import { lateFacts, prefixParts, shortNumber } from "./recordFacts";
import type { RecordEntry } from "./recordTabs";

const view = { not_here: { files: 1, bytes: 41_000 } } as never;

test("what is not sure of a record is said", () => {
  const entry = { heard: { age: 185, machine: "box", skew: 40 } } as RecordEntry;
  expect(lateFacts(entry, view)).toEqual([
    "last heard of 3m05 ago",
    "not here yet, 41.0 kB to go",
    "that machine's clock is 40s ahead",
  ]);
  expect(lateFacts({ heard: null } as RecordEntry, {} as never)).toEqual([]);
});

test("each part of a prefix leads to what is below it", () => {
  expect(prefixParts("a/b").map((part) => part.path)).toEqual(["a", "a/b"]);
});

test.each([
  [0.123456789, "0.12346"],
  [1e-9, "1e-9"],
  [60000, "60,000"],
  [1234567.5, "1.235e+6"],
  ["NaN", "NaN"],
])("%s is shown as %s", (value, expected) => {
  expect(shortNumber(value)).toBe(expected);
});
