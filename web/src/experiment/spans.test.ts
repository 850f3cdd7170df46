import { expect, test } from "vitest";
import { barsOf, loadOf, scaleOf, threadsOf, ticksOf } from "./spans";
import { time, times } from "./testTasks";

const now = Date.parse(time(100));

test("the scale goes from the start to now, with room for its line; of what ended, to the end", () => {
  const tasks = [times("a", [[0, 1, 40, "SUCCEEDED"]])];
  const running = scaleOf(tasks, time(0), now);
  expect(running?.now).toBe(now);
  expect((running?.to ?? 0) - (running?.from ?? 0)).toBe(102_000);
  const over = scaleOf(tasks, time(0), null);
  expect((over?.to ?? 0) - (over?.from ?? 0)).toBe(40_000);
  expect(scaleOf([], null, null)).toBeNull();
});

test("waits and runs are apart, attempts are numbered, and what has not ended is open at now", () => {
  const task = times("a", [
    [0, 10, 20, "FAILED"],
    [20, 30, null, "RUNNING"],
  ]);
  const scale = scaleOf([task], time(0), now);
  const bars = scale ? barsOf(task, scale) : [];
  expect(bars.map((bar) => [bar.kind, bar.attempt, (bar.to - bar.from) / 1_000, bar.isOpen])).toEqual([
    ["wait", 1, 10, false],
    ["run", 1, 10, false],
    ["wait", 2, 10, false],
    ["run", 2, 70, true],
  ]);
});

test("a task that waits for its next attempt has a wait up to now", () => {
  const task = times("a", [[0, 0, 20, "FAILED"]], 20);
  const scale = scaleOf([task], time(0), now);
  const last = scale ? barsOf(task, scale).at(-1) : undefined;
  expect(last).toMatchObject({ kind: "wait", attempt: 2, to: now, isOpen: true });
});

test("runs that do not overlap share a thread; more than eight at once have none", () => {
  const run = (from: number, to: number) =>
    ({ kind: "run", from, to, attempt: 1, status: "SUCCEEDED", isOpen: false }) as const;
  expect(threadsOf([run(0, 5), run(1, 3), run(3, 9), run(5, 6)])?.map((thread) => thread.length)).toEqual([
    2, 2,
  ]);
  expect(threadsOf(Array.from({ length: 9 }, () => run(0, 5)))).toBeNull();
  const scale = { from: 0, to: 10, now: null };
  expect(loadOf([run(0, 5), run(2, 10)], scale)).toEqual([
    { at: 0, count: 1 },
    { at: 0.2, count: 2 },
    { at: 0.5, count: 1 },
    { at: 1, count: 0 },
  ]);
});

test("ticks are at round times, and never more than asked for", () => {
  const labels = (seconds: number) =>
    ticksOf({ from: 0, to: seconds * 1_000, now: null }, 6).map((tick) => tick.label);
  expect(labels(30)).toEqual(["0s", "5s", "10s", "15s", "20s", "25s", "30s"]);
  expect(labels(1_400)).toEqual(["0m", "5m", "10m", "15m", "20m"]);
  expect(labels(5_400)).toEqual(["0m", "15m", "30m", "45m", "1h00", "1h15", "1h30"]);
  expect(labels(86_400 * 9)).toEqual(["0d", "2d", "4d", "6d", "8d"]);
});
