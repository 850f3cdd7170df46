import { expect, test } from "vitest";
import { author, factsOf } from "./facts";
import { experiment, task } from "./testTasks";

test("what another machine runs tells when it was heard of, its clock, and what has not arrived", () => {
  const status = experiment([task("a", "RUNNING")], {
    supervisor: { state: "elsewhere", pid: 7, host: "gpu1", problem: null },
    heard: { age: 180, machine: "gpu1", skew: 40 },
    sync: { url: "http://x", pending: 41_000, last: null, error: null },
  });
  expect(
    factsOf(status, null)
      .map((fact) => fact.text)
      .slice(1),
  ).toEqual([
    "supervisor on gpu1, pid 7",
    "last heard of 3m00 ago",
    "that machine's clock is 40s ahead",
    "not here yet, 41.0 kB to go",
  ]);
});

test("the author of an event is a user of a host", () => {
  expect(author("alice@box:26633 (exp run)")).toEqual({ user: "alice", host: "box" });
  expect(author("alice")).toEqual({ user: "alice", host: null });
});
