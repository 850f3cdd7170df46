import { expect, test } from "vitest";
import { parseExact } from "../ui/exactJson";
import { bestOf, withTies } from "./best";
import { metricColumn, paramColumn } from "./columns";
import { nearest, progress } from "./curves";
import { exactJson, parseExactly } from "./exactNumbers";
import { csv, markdown, tableOf, tsv } from "./exports";
import { rowsOf } from "./rows";
import { colouring } from "./sequence";
import { nextSort } from "./settings";
import { areNumbers, formatOf, identityOf, rounded } from "./values";

test("metrics of one size have the same decimals, others as many digits as they need", () => {
  const even = formatOf([0.97412, 0.0283, 0.5], true);
  expect([0.97412, 0.0283].map(even)).toEqual(["0.9741", "0.0283"]);
  const uneven = formatOf([1.3217, 0.00078125], true);
  expect([1.3217, 0.00078125].map(uneven)).toEqual(["1.3217", "0.0007813"]);
  expect(formatOf([1, 12], true)(12)).toBe("12");
});

test("a text that looks like another value of its column is quoted", () => {
  const format = formatOf([1, "1", "adam"], false);
  expect([1, "1", "adam", null, true].map(format)).toEqual(["1", '"1"', "adam", "null", "true"]);
});

test("numbers that are not finite are words", () => {
  expect([Number.NaN, Infinity, -Infinity, 1e-7, 123456789].map((value) => rounded(value))).toEqual([
    "NaN",
    "inf",
    "-inf",
    "1e-7",
    "1.23e8",
  ]);
});

const ROW = { dash_root: "/r", experiment: "e_1", metrics: {} };
const TEXT = `{"schema":"exp.compare/1","differing":["n","note"],"columns":["loss","loss:min"],"rows":[
{"prefix":"a/e_1/t/1","dash_root":"/r","experiment":"e_1","task":"t/1","status":"COMPLETED",
"params":{"n":1.0,"note":"=1+1"},"metrics":{"loss":{"last":1e-05,"min":"NaN","max":1,"mean":1,"count":1,"nan":0}}},
{"prefix":"a/e_1/t/2","dash_root":"/r","experiment":"e_1","task":"t/2","status":"FAILED",
"params":{"n":90071992547409931,"note":"a|b_c\\n\\u202ex"},"metrics":{}}]}`;

test("exports keep each number as it was written, and no text is run", () => {
  const table = tableOf(TEXT, false);
  expect(csv(table)).toBe(
    "RECORD,STATUS,n,note,loss,loss:min\n" +
      "t/1,COMPLETED,1.0,'=1+1,1e-05,nan\n" +
      't/2,FAILED,90071992547409931,"a|b_c\n\\u202ex",,\n',
  );
  expect(tsv(table).split("\n")[2]).toBe("t/2\tFAILED\t90071992547409931\ta|b_c \\u202ex\t\t");
  expect(markdown(table)).toContain("| t/2 | FAILED | 90071992547409931 | a\\|b_c \\\\u202ex |  |  |");
});

test("numbers come back as they were written", () => {
  expect(exactJson(parseExactly('{"a":[1.0,1e-05,12345678901234567890],"b":null}'))).toBe(
    '{"a":[1.0,1e-05,12345678901234567890],"b":null}',
  );
});

test("the best is the first by a metric that succeeded; those with the same values are as good", () => {
  const loss = metricColumn("loss", ["loss"]);
  const statistics = (last: number) => ({
    loss: { last, min: last, max: last, mean: last, count: 1, nan: 0 },
  });
  const row = (task: string, last: number, status: "COMPLETED" | "FAILED" = "COMPLETED") =>
    ({ ...ROW, prefix: `a/e_1/${task}`, task, status, params: {}, metrics: statistics(last) }) as const;
  const rows = rowsOf({
    schema: "exp.compare/1",
    differing: [],
    rows: [row("a", 0.1, "FAILED"), row("b", 0.2), row("c", 0.2), row("d", 0.3)],
  });
  const best = bestOf(rows, [loss], [{ key: "loss", isDescending: false }]);
  expect([best?.id, [...(best?.tied ?? [])]]).toEqual([rows[1]?.id, [rows[2]?.id]]);
  expect(bestOf(rows, [loss], [])).toBeNull();
});

test("ties go to the next key, and rows without a value of it come last", () => {
  const columns = [paramColumn("lr", []), paramColumn("n", [])];
  const row = (task: string, params: Record<string, unknown>) =>
    ({ ...ROW, prefix: `a/e_1/${task}`, task, status: "COMPLETED", params }) as const;
  const rows = rowsOf({
    schema: "exp.compare/1",
    differing: [],
    rows: [
      row("a", { lr: 1 }),
      row("b", { lr: 1, n: 1 }),
      row("c", { lr: 1, n: 2 }),
      row("d", { lr: 2, n: 9 }),
    ],
  });
  const sort = [
    { key: "lr", isDescending: false },
    { key: "n", isDescending: true },
  ];
  expect(withTies(rows, columns, sort).map((each) => each.label)).toEqual(["c", "b", "a", "d"]);
});

test("a press on a head sorts, turns round, and ends; a further key goes behind", () => {
  const loss = metricColumn("loss:max", ["loss"]);
  const first = nextSort([], loss, false);
  expect(first).toEqual([{ key: "loss:max", isDescending: true }]);
  expect(nextSort(first, loss, false)).toEqual([{ key: "loss:max", isDescending: false }]);
  expect(nextSort(nextSort(first, loss, false), loss, false)).toEqual([]);
  const further = metricColumn("clock", ["clock"]);
  expect(nextSort(first, further, true).map((each) => each.key)).toEqual(["loss:max", "clock"]);
});

test("the value that the sort puts first has the strongest colour, a missing one none", () => {
  const colours = colouring("loss", [1, 2, 3, undefined], true);
  expect([1, 3, undefined].map((value) => colours.step(value))).toEqual([5, 1, 0]);
});

test("the nearest curve is found between the axes", () => {
  const curves = [
    [
      { x: 0, y: 0 },
      { x: 100, y: 100 },
    ],
    [
      { x: 0, y: 100 },
      { x: 100, y: 0 },
    ],
  ];
  expect(nearest(curves, { x: 10, y: 4 }, 10)).toBe(0);
  expect(nearest(curves, { x: 90, y: 4 }, 10)).toBe(1);
  expect(nearest(curves, { x: 50, y: 90 }, 10)).toBeNull();
  expect(progress(0.5)).toBeCloseTo(0.5);
});

test("integers beyond doubles keep all their digits", () => {
  const [seed, other] = parseExact("[9007199254740993, 9007199254740992]") as unknown[];
  const format = formatOf([seed, 1234567890123], false);
  expect([seed, 1234567890123].map(format)).toEqual(["9007199254740993", "1234567890123"]);
  expect(identityOf(seed)).not.toBe(identityOf(other));
  expect(areNumbers([seed, 1])).toBe(true);
});
