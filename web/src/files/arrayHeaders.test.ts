import { expect, test } from "vitest";
import { arrayHeader, zipEntries } from "./arrayHeaders";

function npy(text: string): Uint8Array {
  const head = new TextEncoder().encode(text);
  return Uint8Array.from([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, head.length, 0, ...head]);
}

test.each([
  ["{'descr': '<f4', 'fortran_order': False, 'shape': (128, 10), }\n", { type: "float32", shape: [128, 10] }],
  ["{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n", { type: "bool", shape: [3] }],
  ["{'descr': '<i8', 'fortran_order': False, 'shape': (), }\n", { type: "int64", shape: [] }],
])("%s", (text, expected) => {
  expect(arrayHeader(npy(text))).toEqual(expected);
});

test("what is no array has no header", () => {
  expect(arrayHeader(new TextEncoder().encode("hello, this is text"))).toBeNull();
  expect(zipEntries(new Uint8Array(100), 100)).toBeNull();
});
