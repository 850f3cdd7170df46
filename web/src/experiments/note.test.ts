import { expect, test } from "vitest";
import { type Entry, headline, noteOf, person } from "./note";

const entry = (status: Entry["status"], counts: Entry["counts"], others: Partial<Entry> = {}): Entry => ({
  id: "a_1",
  name: "a",
  status,
  created: null,
  ended: null,
  counts,
  tags: [],
  key: null,
  ...others,
});
const text = (...given: Parameters<typeof entry>) => {
  const { failed, rest } = noteOf(entry(...given));
  return [failed, ...rest].filter(Boolean).join(" · ");
};
const failure = { task: "export", exit_code: 134, reason: "signal", message: null };

test("a note says what failed, what is left and why it stands still", () => {
  expect(text("RUNNING", { RUNNING: 1, FAILED: 4 }, { seconds_left: 2220 })).toBe("4 failed · ~37m left");
  expect(text("RUNNING", { SUBMITTED: 36 })).toBe("36 wait in the queue");
  expect(text("RUNNING", { RUNNING: 1 }, { seconds_left: 0 })).toBe("");
  expect(text("RUNNING", { RUNNING: 1 }, { heard: { age: 200, machine: "box", skew: null } })).toBe(
    "last heard of 3m20 ago",
  );
  expect(text("FAILED", { SUCCEEDED: 3, FAILED: 1 }, { failure })).toBe(
    "1 failed · export: exit code 134, signal",
  );
  expect(text("FAILED", { FAILED: 1, SKIPPED: 297 }, { failure })).toBe("1 failed · 297 not started");
  expect(text("FAILED", { FAILED: 8, SUCCEEDED: 193 }, { failure })).toBe("8 failed");
  expect(text("CANCELLED", { CANCELLED: 2 }, { cancelled_by: "bo@box:7 (exp cancel)" })).toBe(
    "cancelled by bo",
  );
  expect(text("INTERRUPTED", { PENDING: 2 })).toBe("supervisor gone");
  const left = { unsupervised: 2, seconds_left: 60 };
  expect(text("RUNNING", { RUNNING: 2 }, left)).toBe("2 run, supervisor gone");
  expect(text("RUNNING", { RUNNING: 2 }, { ...left, not_observed: "of another home" })).toBe(
    "supervisor gone · 2 not observed",
  );
  expect(text("COMPLETED", { SUCCEEDED: 2 })).toBe("");
  expect(text(null, {}, { problem: "torn" })).toBe("torn");
});

test("the user is the first word of who it was", () => {
  expect(person("carol via root@vm:3 (exp cancel)")).toBe("carol");
});

test("the headline counts what matters", () => {
  expect(headline({ RUNNING: 3, INTERRUPTED: 1, COMPLETED: 9 }, 2)).toBe(
    "3 run, 1 is interrupted, 2 failed since yesterday",
  );
  expect(headline({ RUNNING: 1 }, 0)).toBe("1 runs");
  expect(headline({}, null)).toBe("Nothing runs");
});
