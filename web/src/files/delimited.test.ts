import { expect, test } from "vitest";
import { parseDelimited } from "./delimited";

test("quoted cells keep separators, line ends and quotes", () => {
  const table = parseDelimited('\ufeffa,b\r\n"1,2","x ""y""\nz"\n\n3,\n', ",", 10);
  expect(table).toEqual({
    head: ["a", "b"],
    rows: [
      ["1,2", 'x "y"\nz'],
      ["3", ""],
    ],
    total: 2,
  });
});

test("only so many rows are returned, all are counted, and a torn last one is left out", () => {
  const table = parseDelimited("a\tb\n1\t2\n3\t4\n5", "\t", 1, true);
  expect(table).toEqual({ head: ["a", "b"], rows: [["1", "2"]], total: 2 });
});
