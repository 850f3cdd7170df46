import { expect, test } from "vitest";
import { NumberText } from "../sweep/exactNumbers";
import { compared } from "./compared";
import { labelsOf, namesOf } from "./labels";
import { matching } from "./nestedParams";
import { changedPart, difference, shown } from "./texts";

const number = (text: string) => new NumberText(text, Number(text));

test("only the part of a value that changed is its own", () => {
  expect(changedPart("2.3.4", "2.3.5")).toEqual(["2.3.", "4", ""]);
  expect(changedPart("/data/a/x.csv", "/data/b/x.csv")).toEqual(["/data/", "a", "/x.csv"]);
  expect(changedPart("box", "node-07")).toBeNull();
  expect(changedPart("aaa", "aaaa")).toEqual(["aaa", "", ""]);
});

test("numbers differ by a factor from twice on, else by a sum, and texts by nothing", () => {
  expect(difference(number("0.05"), number("0.2"))).toBe("×4");
  expect(difference(number("0.0230"), number("0.0021"))).toBe("−0.0209");
  expect(difference(number("0.9722"), number("0.9778"))).toBe("+0.0056");
  expect(difference(number("1"), "1")).toBe("");
});

test("a value shows its type", () => {
  expect([null, true, "true", "1", number("1.0"), "adam", "", "x "].map(shown)).toEqual([
    "null",
    "true",
    '"true"',
    '"1"',
    "1.0",
    "adam",
    '""',
    '"x "',
  ]);
});

test("1, 1.0, the text 1 and no value are different values", () => {
  const [row] = compared([{ a: number("1") }, { a: number("1.0") }]);
  expect(row?.differs).toBe(true);
  expect(compared([{ a: null }, {}])[0]?.differs).toBe(true);
  expect(compared([{ a: number("1") }, { a: number("1") }])[0]?.differs).toBe(false);
});

test("names like constructor are names of params", () => {
  expect(compared([JSON.parse('{"constructor":"a","__proto__":"b"}'), {}]).map((row) => row.name)).toEqual([
    "constructor",
    "__proto__",
  ]);
});

test("records are told apart by the ends of their prefixes", () => {
  expect(labelsOf(["a/e/train/lr=1", "a/e/train/lr=2"])).toEqual(["lr=1", "lr=2"]);
  expect(labelsOf(["a/e", "a/e/x"])).toEqual(["e", "e/x"]);
});

test("params are found by name, by the name above, and by value", () => {
  const nested = { model: { name: "mlp", size: { depth: 3 } }, lr: 0.1 };
  expect(matching(nested, "depth")).toEqual({ model: { size: { depth: 3 } } });
  expect(matching(nested, "mlp")).toEqual({ model: { name: "mlp" } });
  expect(matching(nested, "model")).toEqual({ model: nested.model });
});

test("records of one prefix are told apart by their folders", () => {
  const folders = ["/srv/a/dash", "/srv/b/dash"];
  const records = ["alice/x", "alice/x", "alice/y"].map((prefix, index) => ({
    prefix,
    folder: folders[index % 2] as string,
  }));
  expect(namesOf(records)).toEqual(["x in a/dash", "x in b/dash", "y"]);
});
