import { expect, test } from "vitest";
import { imageSize } from "./imageSizes";

const bytes = (hex: string) => new Uint8Array(hex.split(" ").map((each) => Number.parseInt(each, 16)));

test.each([
  ["PNG", "89 50 4e 47 d a 1a a 0 0 0 d 49 48 44 52 0 0 4e 20 0 0 0 2", 20_000, 2],
  ["GIF", "47 49 46 38 39 61 1 2 3 0", 513, 3],
  ["WebP", "52 49 46 46 0 0 0 0 57 45 42 50 56 50 38 58 a 0 0 0 0 0 0 0 ff 3 0 1 0 0", 1024, 2],
  ["JPEG", "ff d8 ff e0 0 4 0 0 ff c0 0 11 8 0 2 4 0 3", 1024, 2],
])("the head of a %s has its size", (kind, hex, width, height) => {
  expect(imageSize(bytes(hex)), kind).toEqual({ width, height });
});

test("what ends within its head, or is no image, has none", () => {
  expect(imageSize(bytes("89 50 4e 47 d a"))).toBeNull();
  expect(imageSize(bytes("ff d8 ff e0 0 0 0"))).toBeNull();
  expect(imageSize(bytes("68"))).toBeNull();
});
