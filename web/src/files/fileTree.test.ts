import { expect, test } from "vitest";
import { isFound, treeRows } from "./fileTree";
import type { SavedFile } from "./savedFiles";

const file = (bytes: number) => ({ bytes }) as SavedFile;
const files = ["b.txt", "models/v10.pt", "models/v9.pt", "models/old/a.pt"].map(
  (path, index) => [path.split("/"), file(index + 1)] as const,
);

test("folders come before files, numbers in names count, and a folded folder hides what is in it", () => {
  const shown = (folded: string[]) => treeRows(files, new Set(folded)).map((row) => row.path);
  expect(shown([])).toEqual([
    "models/",
    "models/old/",
    "models/old/a.pt",
    "models/v9.pt",
    "models/v10.pt",
    "b.txt",
  ]);
  expect(shown(["models/"])).toEqual(["models/", "b.txt"]);
  expect(treeRows(files, new Set())[0]).toMatchObject({ files: 3, bytes: 9 });
});

test.each([
  ["a/b/c.png", "**/*.png", true],
  ["c.png", "**/*.png", true],
  ["a/b/c.png", "*.png", true],
  ["a/b/c.png", "a/*.png", false],
  ["a/b/c.png", "B/C", true],
  ["a/b/c.png", "?.png", true],
  ["a/[x].png", "a/[x]*", true],
  ["a/b", "", true],
])("%s by %s: %s", (path, typed, expected) => {
  expect(isFound(path, typed)).toBe(expected);
});
