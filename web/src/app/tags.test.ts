import { expect, test } from "vitest";
import { tagsWith } from "./tags";

test("tags are found by a part in any case, the most frequent first", () => {
  expect(tagsWith("IG", ["nightly", "digits", "nightly", "vision", "digits", "nightly"])).toEqual([
    { tag: "nightly", count: 3 },
    { tag: "digits", count: 2 },
  ]);
});
