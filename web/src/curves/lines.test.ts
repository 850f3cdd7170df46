import { expect, test } from "vitest";
import { averaged } from "./averages";
import { stepOf, strokeOf, strokes } from "./colours";
import { csvOf, escaped, svgOf } from "./exports";
import { groupsOf, isOpenAtFirst } from "./groups";
import { gapsOf, linesOf } from "./lines";
import { nearest, pointAt } from "./lookup";
import type { Curve, Run } from "./model";
import { differences, grouped, seedsOf, shortNames } from "./params";
import { extentOf, padded } from "./ranges";

const numbers = (...values: number[]) => Float64Array.from(values);

function run(number: number, params: Record<string, unknown> = {}): Run {
  return {
    id: `r${number}`,
    number,
    prefix: `a/r${number}`,
    root: "x",
    task: null,
    status: "COMPLETED",
    params,
    begin: 0,
    ended: null,
    attempts: [1],
    metrics: new Set(["loss"]),
  };
}

function curve(name: string, x: Float64Array, last: Float64Array): Curve {
  return {
    run: name,
    key: "loss",
    attempt: null,
    x,
    last,
    min: null,
    max: null,
    total: x.length,
    isNumbered: false,
    position: null,
  };
}

test("a gap begins at the last finite point and names the first number that is none", () => {
  const values = numbers(1, 2, Number.NaN, Number.NaN, 5, Number.POSITIVE_INFINITY);
  const gaps = gapsOf(numbers(0, 1, 2, 3, 4, 5), values, values, false);
  expect(gaps.map(({ x, from, word, isFinal }) => [x, from, word, isFinal])).toEqual([
    [1, 2, "NaN", false],
    [4, 5, "∞", true],
  ]);
});

test("a beginning that alone doubles the range is left out and counted", () => {
  const y = Float64Array.from({ length: 100 }, (_, index) => (index === 0 ? 1000 : Math.sin(index)));
  const x = Float64Array.from(y, (_, index) => index);
  const all = { isLog: false, isWhole: true, window: null };
  expect(extentOf([{ x, low: y, high: y }], all).span?.largest).toBe(1000);
  const kept = extentOf([{ x, low: y, high: y }], { ...all, isWhole: false });
  expect(kept.span?.largest).toBeLessThanOrEqual(1);
  expect(kept.outside).toBe(1);
});

test("a logarithmic range leaves out what is not positive, and counts it", () => {
  const y = numbers(0, -1, 0.1, 10);
  const found = extentOf([{ x: numbers(0, 1, 2, 3), low: y, high: y }], {
    isLog: true,
    isWhole: true,
    window: null,
  });
  expect(found).toEqual({ span: { least: 0.1, largest: 10 }, outside: 0, notPositive: 2 });
});

test("one value has a range, and numbers above 0 none below it", () => {
  expect(padded({ least: 5, largest: 5 }, false)).toEqual({ least: 4.5, largest: 5.5 });
  expect(padded({ least: 0.1, largest: 10 }, false).least).toBe(0);
});

test("the point of a position is the nearest one, and none outside of the curve", () => {
  const x = numbers(0, 10, 20);
  expect([nearest(x, 4), nearest(x, 6), nearest(x, 99), nearest(numbers(), 1)]).toEqual([0, 1, 2, -1]);
  expect([pointAt(x, 21), pointAt(x, 21, 2), pointAt(x, -1)]).toEqual([-1, 2, -1]);
});

test("a mean is over the runs that have a value there, with their least and largest", () => {
  const lines = [
    { x: numbers(0, 2), y: numbers(1, 3) },
    { x: numbers(0, 1), y: numbers(3, Number.NaN) },
  ];
  const { x, mean, low, high, count } = averaged(lines, "range");
  expect([[...x], [...mean], [...low], [...high], [...count]]).toEqual([
    [0, 1, 2],
    [2, 2, 3],
    [1, 2, 3],
    [3, 2, 3],
    [2, 1, 1],
  ]);
  expect(
    averaged(
      [
        { x: numbers(0), y: numbers(1) },
        { x: numbers(0), y: numbers(3) },
      ],
      "deviation",
    ).high[0],
  ).toBeCloseTo(2 + Math.SQRT2);
});

test("strokes: solid to 6, dashed to 12, dotted to 24, and no more hues", () => {
  expect(
    [0, 6, 12, 23, 24].map((number) => [
      strokeOf(number).token,
      strokeOf(number).dash.length ? strokeOf(number).dash[0] : 0,
    ]),
  ).toEqual([
    ["--series-1", 0],
    ["--series-7", 7],
    ["--series-1", 2],
    ["--series-12", 2],
    ["--line2", 0],
  ]);
});

test("a run keeps its colour, whichever others are drawn", () => {
  const runs = Array.from({ length: 20 }, (_, number) => run(number));
  const few = strokes(runs, new Set(["r7"]), null).get("r7");
  expect(few).toEqual(strokes(runs, new Set(runs.map(({ id }) => id)), null).get("r7"));
  const many = Array.from({ length: 30 }, (_, number) => run(number));
  expect(strokes(many, new Set(["r29"]), null).get("r29")?.token).toBe("--series-1");
});

test("the largest value of a param has the strongest colour", () => {
  expect([0.1, 0.2, 0.4].map((value) => stepOf(value, [0.4, 0.1, 0.2]))).toEqual([1, 3, 5]);
  const wide = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1];
  expect(wide.map((value) => stepOf(value, wide))).toEqual([1, 2, 3, 4, 5, 5]);
});

test("params: what differs, what is the same, and groups that differ in the seed alone", () => {
  const runs = [
    run(0, { lr: 1, seed: 1, n: 2 }),
    run(1, { lr: 1, seed: 2, n: 2 }),
    run(2, { lr: 3, seed: 1, n: 2 }),
  ];
  const { differing, same } = differences(runs);
  expect([differing, same]).toEqual([["lr", "seed"], [["n", 2]]]);
  expect(seedsOf(["seed", "data.random_seed", "seeded", "lr"])).toEqual(["seed", "data.random_seed"]);
  expect(grouped(runs, ["seed"]).map((group) => group.map(({ id }) => id))).toEqual([["r0", "r1"], ["r2"]]);
  expect([...shortNames(["a.lr", "b.lr", "a.n"]).values()]).toEqual(["a.lr", "b.lr", "n"]);
});

test("groups: a loss first, what was measured of processes last and folded", () => {
  const metric = (key: string) => ({ key, series: key.split("/")[0] as string, records: 1 });
  const groups = groupsOf(["system/cpu", "clock/s", "train/acc", "train/loss"].map(metric));
  expect(groups.map(({ keys }) => keys)).toEqual([["train/loss", "train/acc"], ["clock/s"], ["system/cpu"]]);
  expect(groups.map((_, index) => isOpenAtFirst(groups, index))).toEqual([true, true, false]);
});

test("smoothing keeps the raw numbers, and gaps where they are", () => {
  const own = curve("r0", numbers(0, 1, 2), numbers(4, 2, Number.NaN));
  const { lines, x } = linesOf([own], {
    runs: [run(0)],
    strokes: new Map(),
    smoothing: 0.5,
    isXLog: false,
    isLog: false,
    isWhole: false,
    zoom: null,
    groups: null,
    band: "range",
  });
  expect(lines[0]?.raw).toBe(own.last);
  expect(lines[0]?.gaps[0]?.from).toBe(2);
  expect(x).toEqual({ least: 0, largest: 2 });
});

test("a CSV has the numbers as Python writes them, and no formula", () => {
  const own = [{ key: "=loss", curves: [curve("r0", numbers(1), numbers(1e-7))] }];
  expect(csvOf(own, [run(0)], "step")).toBe(
    "prefix,task,key,attempt,step,value\r\na/r0,,'=loss,,1,1e-07\r\n",
  );
});

test("a text in an SVG is a text", () => {
  expect(escaped(`<b a="1">&'\u0001\ud800`)).toBe("&lt;b a=&quot;1&quot;&gt;&amp;&#39;\ufffd\ufffd");
});

test("an SVG marks the end of a run that failed, as the chart does", () => {
  const chart = linesOf([curve("r0", numbers(0, 1), numbers(5, 6))], {
    runs: [{ ...run(0), status: "FAILED" }],
    strokes: new Map(),
    smoothing: 0,
    isXLog: false,
    isLog: false,
    isWhole: false,
    zoom: null,
    groups: null,
    band: "range",
  });
  const drawn = { key: "loss", chart, axis: "step", isXLog: false, isLog: false } as const;
  expect(
    svgOf(
      [drawn],
      () => "red",
      () => "r0",
    ),
  ).toContain("<title>FAILED</title>");
});
