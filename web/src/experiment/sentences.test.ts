import { expect, test } from "vitest";
import { plain, statusSentence } from "./sentences";
import { experiment, task, time } from "./testTasks";

const trained = (count: number, status: "SUCCEEDED" | "FAILED" | "RUNNING" | "PENDING", from = 0) =>
  Array.from({ length: count }, (_, index) =>
    task(`train/seed=${from + index}`, status, { ended: time(50) }),
  );

const said = (...given: Parameters<typeof statusSentence>) => plain(statusSentence(...given));

test("state, how long, what is left, what failed first and what that stopped", () => {
  const tasks = [
    ...trained(2, "SUCCEEDED"),
    ...trained(1, "FAILED", 2),
    ...trained(3, "RUNNING", 3),
    task("calibrate", "FAILED", { ended: time(60) }),
    task("quantize", "SKIPPED", { reason: "dependency", dependencies: ["calibrate"] }),
    task("publish", "SKIPPED", { reason: "dependency", dependencies: ["quantize"] }),
  ];
  const sweeps = [
    {
      id: "train",
      axes: ["seed"],
      members: 6,
      counts: { SUCCEEDED: 2, FAILED: 1, RUNNING: 3 },
      seconds_left: 2_220,
    },
  ];
  expect(said(experiment(tasks, { sweeps }), 1_380)).toBe(
    "RUNNING for 23m, about 37m left. 2 of 6 members of train are done and 1 failed. " +
      "calibrate failed, so quantize and publish were skipped.",
  );
});

test("an INTERRUPTED experiment says that nothing runs, and the command that continues it", () => {
  const status = experiment([task("a", "PENDING"), task("b", "SUCCEEDED")], { status: "INTERRUPTED" });
  expect(said(status, 90)).toBe(
    "INTERRUPTED after 1m30: nothing runs, and nothing starts what is left. " +
      "1 of 2 tasks is done. Continue with exp resume study_1.",
  );
});

test("without its supervisor a RUNNING experiment says that nothing else starts", () => {
  const supervisor = { state: "gone", pid: 1, host: "box", problem: null } as const;
  const status = experiment([task("a", "RUNNING"), task("b", "PENDING")], { supervisor });
  expect(said(status, 90)).toBe(
    "RUNNING for 1m30. Its supervisor has terminated: what runs goes on, and nothing else starts. " +
      "0 of 2 tasks are done. Continue with exp resume study_1.",
  );
});

test("what ended says how, and of several failures which was the first", () => {
  const done = experiment([task("a", "SUCCEEDED"), task("b", "SUCCEEDED")], {
    status: "COMPLETED",
    ended: time(9),
    outcome: "COMPLETED",
  });
  expect(said(done, 9)).toBe("COMPLETED in 9s. All 2 tasks succeeded.");
  const failed = experiment(
    [task("a", "FAILED", { ended: time(8) }), task("b", "FAILED", { ended: time(4) })],
    { status: "FAILED", ended: time(9), outcome: "FAILED" },
  );
  expect(said(failed, 9)).toBe("FAILED after 9s. 0 of 2 tasks are done. b failed first, then 1 other.");
});

test("what another machine runs says when it was last heard of, and estimates nothing then", () => {
  const heard = { age: 180, machine: "gpu1", skew: null };
  const sweeps = [{ id: "t", axes: ["s"], members: 2, counts: { RUNNING: 2 }, seconds_left: 500 }];
  const status = experiment([task("t/1", "RUNNING"), task("t/2", "RUNNING")], { heard, sweeps });
  expect(said(status, 60)).toBe("RUNNING for 1m00, last heard of 3m00 ago. 0 of 2 members of t are done.");
});
