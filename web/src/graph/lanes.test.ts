import { expect, test } from "vitest";
import { flowOf } from "./flow";
import { graphOf } from "./graph.fixtures";
import { lanesOf } from "./lanes";

test("each row is under what it depends on, and a line ends with its last dependent", () => {
  const lanes = lanesOf(
    flowOf(
      graphOf("fetch>prepare fetch>augment prepare>calibrate prepare>train augment>train calibrate>quantize"),
    ),
  );
  expect(lanes.rows.map((row) => [row.id, row.column])).toEqual([
    ["fetch", 0],
    ["prepare", 1],
    ["calibrate", 2],
    ["quantize", 2],
    ["augment", 0],
    ["train", 0],
  ]);
  expect(lanes.columns).toBe(3);
});
