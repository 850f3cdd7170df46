import { expect, test } from "vitest";
import { reasonOf } from "./reason";
import { rowsOf } from "./taskRows";
import { stoppedBy, type Task, worst } from "./tasks";
import { experiment, task, time } from "./testTasks";

const members: Task[] = [
  ...Array.from({ length: 10 }, (_, index) => task(`train/${index}`, "SUCCEEDED")),
  task("train/10", "RUNNING"),
  task("train/11", "FAILED"),
  ...Array.from({ length: 20 }, (_, index) => task(`train/${12 + index}`, "PENDING")),
];

test("a folded group is one row; unfolded, what failed comes first, then what runs, then a count", () => {
  const tasks = experiment([
    task("fetch", "SUCCEEDED"),
    ...members,
    task("on_exit/notify", "PENDING", { handler: "on_exit" }),
  ]).tasks;
  const keys = (state: "closed" | "open" | "all") => rowsOf(tasks, [], () => state, 4).map((row) => row.key);
  expect(keys("closed")).toEqual(["fetch", "train", "on_exit/notify"]);
  expect(keys("open")).toEqual([
    ...["fetch", "train", "train/11", "train/10", "train/0", "train/1"],
    ...["train/…", "on_exit/notify"],
  ]);
  expect(keys("all")).toHaveLength(35);
  const more = rowsOf(tasks, [], () => "open", 4).find((row) => row.kind === "more");
  expect(more?.members).toHaveLength(28);
  const picked = rowsOf(tasks, [], () => "open", 4, "train/20").map((row) => row.key);
  expect(picked.slice(5, 8)).toEqual(["train/1", "train/20", "train/…"]);
});

test("reasons name what a task waits for, members counted", () => {
  const names = members.map((member) => member.id);
  const all = [...members, task("report", "PENDING", { dependencies: names })];
  const byId = new Map(all.map((each) => [each.id, each]));
  const last = all[all.length - 1] as Task;
  expect(reasonOf(last, byId, null, true)).toBe("waits for 21 of train");
  expect(
    reasonOf(task("q", "SKIPPED", { reason: "dependency", message: "c is FAILED" }), byId, null, true),
  ).toBe("c is FAILED");
  expect(reasonOf(task("c", "FAILED", { reason: "exit" }), byId, "ValueError: shapes", true)).toBe(
    "ValueError: shapes",
  );
  expect(reasonOf(task("c", "FAILED", { reason: "timeout", message: "after 3s" }), byId, "x", true)).toBe(
    "timeout: after 3s",
  );
  expect(reasonOf(task("d", "PENDING"), byId, null, false)).toBe("nothing starts it");
});

test("the failure that stopped most is shown first", () => {
  const tasks = experiment([
    task("late", "SKIPPED", { reason: "dependency", dependencies: ["two"] }),
    task("one", "FAILED", { ended: time(1) }),
    task("two", "FAILED", { ended: time(9) }),
  ]).tasks;
  expect(worst(tasks)?.id).toBe("two");
  expect(stoppedBy([tasks[1] as Task], tasks)).toEqual([]);
});
