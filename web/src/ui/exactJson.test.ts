import { expect, test } from "vitest";
import { ExactNumber, jsonText, parseExact, plainValue } from "./exactJson";

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

test("no digit of a number is lost, and no text becomes a number", () => {
  const text = String.raw`{"a": [9007199254740993, -12345678901234567890, 1e400], "b\"9007199254740993": "9007199254740993", "c": 0.1}`;
  expect(jsonText(parseExact(text))).toBe(text);
  expect(parseExact("[9007199254740991, 1.5]")).toEqual([9007199254740991, 1.5]);
  expect(parseExact("9007199254740993")).toBeInstanceOf(ExactNumber);
});
