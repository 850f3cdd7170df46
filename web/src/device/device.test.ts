import { expect, test } from "vitest";
import { written } from "./device";

test("a code is shown as the terminal shows it, however it was entered", () => {
  for (const entered of ["KQXRBZMP", "kqxr-bzmp", " KQXR BZMP"]) expect(written(entered)).toBe("KQXR-BZMP");
  expect(written("<b>x</b>")).toBe("<b>x</b>");
});
