import { expect, test } from "vitest";
import { task } from "./testTasks";
import { around, reasonsOf, sentence, type WhyTask } from "./why";

test("a message becomes a sentence, and a name at its beginning stays as it is", () => {
  expect(sentence("it failed with exit code 1")).toBe("It failed with exit code 1.");
  expect(sentence("its `when` is false: x == 1")).toBe("Its `when` is false: x == 1.");
  expect(sentence("items failed with exit code 3")).toBe("items failed with exit code 3.");
});

test("waits for members of one group are one sentence", () => {
  const members = Array.from({ length: 6 }, (_, index) =>
    task(`train/${index}`, index < 2 ? "RUNNING" : index < 5 ? "PENDING" : "SUCCEEDED"),
  );
  const byId = new Map([...members, task("fetch", "RUNNING")].map((each) => [each.id, each]));
  const wait = (name: string, status: "RUNNING" | "PENDING") => ({
    kind: "dependency",
    message: `it waits for ${name}, which is ${status}`,
    task: name,
    status,
    time: null,
    by: null,
  });
  const why = {
    ...task("report", "PENDING", { dependencies: [...byId.keys()] }),
    causes: [
      ...members.slice(0, 5).map((each) => wait(each.id, each.status as "RUNNING" | "PENDING")),
      wait("fetch", "RUNNING"),
    ],
  } as unknown as WhyTask;
  expect(reasonsOf(why, byId).map((reason) => reason.text)).toEqual([
    "It waits for train: 5 of 6 members (2 RUNNING, 3 PENDING).",
    "It waits for fetch, which is RUNNING.",
  ]);
});

test("the name in a sentence is apart for its link", () => {
  expect(around("it waits for a/b, which runs", "a/b")).toEqual(["it waits for ", "a/b", ", which runs"]);
  expect(around("nothing", null)).toEqual(["nothing", "", ""]);
});
