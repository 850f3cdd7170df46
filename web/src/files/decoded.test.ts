import { expect, test } from "vitest";
import { decoded } from "./decoded";

test("UTF-16 is read by its mark, and a cut character is left out", () => {
  expect(decoded(new Uint8Array([0xff, 0xfe, 0x68, 0, 0xe9, 0]))).toBe("hé");
  expect(decoded(new Uint8Array([0xfe, 0xff, 0, 0x68]))).toBe("h");
  expect(decoded(new Uint8Array([0x68, 0xc3]), true)).toBe("h");
  expect(decoded(new Uint8Array([0x68, 0xc3]))).toBe("h\ufffd");
});
