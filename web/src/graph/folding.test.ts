import { expect, test } from "vitest";
import { flowOf } from "./flow";
import { fold } from "./folding";
import { graphOf, large, tasksOf } from "./graph.fixtures";
import { nodeName } from "./names";
import { edgeState, statesOf } from "./nodeState";

test("fewer than forty nodes are not folded", () => {
  const chain = Array.from({ length: 38 }, (_, index) => `t${index}>t${index + 1}`).join(" ");
  expect(fold(flowOf(graphOf(chain))).nodes).toHaveLength(39);
});

test("chains fold first, then siblings with the same ends; the edges lead between the folds", () => {
  const folded = fold(flowOf(large()));
  expect(folded.nodes.map(nodeName).slice(0, 3)).toEqual(["root", "10 tasks", "15 tasks"]);
  expect(folded.edges.filter((edge) => edge.to === "end")).toHaveLength(12);
});

test("an open fold shows its own items, and all others stay folded", () => {
  const flow = flowOf(large());
  const before = fold(flow);
  const opened = fold(flow, new Set(["chain s0-0"]));
  expect(opened.nodes).toHaveLength(before.nodes.length + 9);
  expect(opened.edges).toContainEqual({ from: "s0-3", to: "s0-4", type: "afterok", isSame: false });
});

test("a fold that holds a failure shows its mark and count", () => {
  const graph = large();
  const statuses = Object.fromEntries(graph.nodes.map((node) => [node.id, "SUCCEEDED" as const]));
  const stateOf = statesOf(
    graph,
    tasksOf({ ...statuses, "e3-4": "FAILED", "e3-5": "FAILED", "e3-6": "RUNNING" }),
  );
  const folded = fold(flowOf(graph));
  const holder = folded.nodes.find((node) => node.members.includes("e3-4"));
  expect(holder && stateOf(holder)).toMatchObject({ status: "FAILED", text: "2 failed" });
});

test("an edge is drawn by what it leads to", () => {
  const graph = graphOf("a>b b>c a>d");
  const stateOf = statesOf(graph, tasksOf({ a: "SUCCEEDED", b: "PENDING", c: "PENDING", d: "SKIPPED" }));
  const [a, b, c, d] = flowOf(graph).nodes.map(stateOf);
  if (!a || !b || !c || !d) throw new Error("four nodes");
  expect([edgeState(b, [a]), edgeState(c, [b]), edgeState(d, [a])]).toEqual(["began", "waits", "skipped"]);
});

test("a group is written as `same` where each member waits for its own one", () => {
  const graph = graphOf("a*2>b*2");
  const tasks = tasksOf({ "a/0": "PENDING", "a/1": "PENDING", "b/0": "PENDING", "b/1": "PENDING" });
  const on = (same: boolean) =>
    tasks.map((task) => ({
      ...task,
      dependencies: task.id.startsWith("b") ? (same ? [`a/${task.id.at(-1)}`] : ["a/0", "a/1"]) : [],
    }));
  expect(flowOf(graph, on(true)).edges[0]?.isSame).toBe(true);
  expect(flowOf(graph, on(false)).edges[0]?.isSame).toBe(false);
});
