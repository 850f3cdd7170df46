import { expect, test } from "vitest";
import { beginningOf } from "./longTexts";

test("a long text is cut by its characters and by its lines, and never within a character", () => {
  expect(beginningOf("x".repeat(110), 100)).toBe("x".repeat(110));
  expect(beginningOf("x".repeat(1_000), 100)).toBe("x".repeat(100));
  expect(beginningOf(`${"x".repeat(99)}${"😀".repeat(50)}`, 100)).toBe("x".repeat(99));
  expect(beginningOf("a\n".repeat(1_000), 10_000).split("\n").length).toBe(60);
  expect(beginningOf("a\n".repeat(60), 10_000)).toBe("a\n".repeat(60));
});
