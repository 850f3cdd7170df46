import { expect, test } from "vitest";
import { plainValue } from "./exactJson";

test.each([
  ["adam", "adam"],
  ["12", '"12"'],
  ["true", '"true"'],
  ["", '""'],
  [[64, "x", null], '[64, "x", null]'],
  [{ a: { b: 0.1 } }, '{"a": {"b": 0.1}}'],
])("%j is shown as %s", (value, expected) => {
  expect(plainValue(value)).toBe(expected);
});
