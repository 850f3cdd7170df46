import { expect, test } from "vitest";
import type { StatusDocument } from "../api/documents/status";
import { cancelPlan, openGroups, stops, USUAL } from "./cancelPlan";
import { resumeRows, resumeText } from "./planRows";

const NOW = Date.parse("2026-11-30T10:10:00.000Z");
const task = (id: string, status: string, others: object = {}) => ({
  id,
  status,
  group: id.includes("/") ? id.split("/")[0] : null,
  handler: null,
  started: status === "RUNNING" ? "2026-11-30T10:00:29.000Z" : null,
  ...others,
});
const STATUS = {
  tasks: [
    task("fetch", "SUCCEEDED"),
    task("train/lr=1", "RUNNING"),
    task("train/lr=2", "PENDING"),
    task("calibrate", "FAILED"),
    task("on_exit/notify", "PENDING", { handler: "on_exit", group: "on_exit" }),
    task("on_failure/alarm", "PENDING", { handler: "on_failure", group: "on_failure" }),
  ],
} as unknown as StatusDocument;
const plan = (word: string | null, stopOf = () => USUAL) => cancelPlan(STATUS, word, { stopOf, now: NOW });

test("a cancel of all says what runs, waits, is over, and what still runs at the end", () => {
  const { lines, cancelled } = plan(null);
  expect(cancelled).toBe(2);
  expect(lines.map((line) => `${line.count} ${line.text}`)).toEqual([
    "1 runs: it gets TERM, and KILL after 10 s. It has run for 9m31.",
    "1 waits: it will not start.",
    "2 are over and stay as they are: 1 SUCCEEDED, 1 FAILED.",
    "1 handler still runs at the end: on_exit/notify.",
  ]);
});

test("a word is an id, a group, a glob or the beginning of an id", () => {
  expect(plan("train").cancelled).toBe(2);
  expect(plan("train/*2").cancelled).toBe(1);
  expect(plan("tr").cancelled).toBe(2);
  expect(plan("[").lines).toEqual([]);
  expect(plan("").lines).toEqual([]);
  expect(openGroups(STATUS)[0]).toEqual({ group: "train", count: 2 });
});

test("signals and times come from the spec, also from what members share", () => {
  const stopOf = stops({
    tasks: [{ id: "fetch", stop_grace: 60 }],
    shared: { train: { stop_signal: "SIGUSR1" } },
  });
  expect(STATUS.tasks.slice(0, 2).map(stopOf)).toEqual([
    { signal: "TERM", grace: 60 },
    { signal: "SIGUSR1", grace: 10 },
  ]);
});

test("members that fare alike are one row, and what runs comes first", () => {
  const row = (id: string, action: "run" | "keep", reason: string) => ({ id, action, attempt: 1, reason });
  const tasks = [
    row("a", "keep", "it succeeded"),
    row("t/1", "run", "it was CANCELLED"),
    row("t/2", "run", "it was CANCELLED"),
    row("t/3", "run", "it was FAILED"),
  ];
  expect(resumeRows(tasks).map(({ id, more }) => [id, more])).toEqual([
    ["t/1", 1],
    ["t/3", 0],
    ["a", 0],
  ]);
  expect(resumeText(tasks)).toBe("Run 3 tasks, keep 1");
});
