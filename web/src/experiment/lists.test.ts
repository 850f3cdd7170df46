import { expect, test } from "vitest";
import { asTsv, filtered, NOTHING, withPage } from "./events";
import { diffRows } from "./specDiff";

const page = (from: number, to: number, total: number) => ({
  schema: "exp.event-list/1" as const,
  id: "x",
  events: Array.from({ length: to - from }, (_, index) => ({
    event: (from + index) % 2 ? "started" : "ended",
    time: "2026-01-01T00:00:00.000Z",
    by: "me",
    task: `t${from + index}`,
  })),
  summaries: Array.from({ length: to - from }, () => "a\tb"),
  next: null,
  total,
});

test("pages of events join at both ends without doubles or gaps", () => {
  let loaded = withPage(NOTHING, page(10, 20, 20), 10);
  loaded = withPage(loaded, page(15, 25, 25), 15);
  loaded = withPage(loaded, page(5, 10, 25), 5);
  expect(loaded.events.map((event) => event.number)).toEqual(
    Array.from({ length: 20 }, (_, index) => 5 + index),
  );
  expect(loaded).toMatchObject({ first: 5, total: 25 });
  expect(filtered(loaded.events, "T1", "ended").map((event) => event.task)).toEqual([
    ...["t10", "t12", "t14", "t16", "t18"],
  ]);
  expect(asTsv(loaded.events.slice(0, 1)).split("\n")[1]).toBe(
    "2026-01-01T00:00:00.000Z\tstarted\tt5\ta b\tme",
  );
});

test("a diff shows what changed with three lines around it, and folds the rest", () => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index}`).join("\n");
  const rows = diffRows(`${before}\n`, `${before.replace("line 10", "line ten")}\n`);
  expect(rows.map((row) => row.kind)).toEqual([
    ...["folded", "same", "same", "same", "removed", "added", "same", "same", "same", "folded"],
  ]);
  expect(rows[0]).toEqual({ kind: "folded", count: 7 });
  expect(rows[5]).toMatchObject({ after: 11, text: "line ten" });
});
