import { expect, test } from "vitest";
import type { Json } from "../ui/exactJson";
import { drawnAs } from "./loggedKinds";

const of = (...values: Json[]) => drawnAs(values.map((value, at) => ({ at, value })));

test.each([
  [
    "heat",
    [
      [1, 2, 3],
      [4, 5, "NaN"],
    ],
  ],
  ["heat", [{ counts: [1, 2], edges: [0, 1, 2] }]],
  [
    "matrix",
    [
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ],
  ["table", [{ label: ["a", "b"], hits: [1, 2] }]],
  ["table", [[{ a: 1 }, { a: 2, b: "x" }]]],
  ["plain", ["epoch 1", "epoch 2"]],
  ["plain", [[1, 2], "text"]],
  ["plain", [{ counts: [1, 2], edges: "none" }]],
] as const)("a %s", (kind, values) => {
  expect(of(...(values as unknown as Json[])).kind).toBe(kind);
});

test("a table of mappings has all their columns", () => {
  expect(of([{ a: 1 }, { a: 2, b: "x" }])).toMatchObject({
    tables: [
      {
        head: ["a", "b"],
        rows: [
          [1, null],
          [2, "x"],
        ],
      },
    ],
  });
});
