import { expect, test } from "vitest";
import { flowOf } from "./flow";
import { fold } from "./folding";
import { graphOf, large } from "./graph.fixtures";
import { LANE, LAYER, layOut, NODE_HEIGHT, NODE_WIDTH } from "./layout";

const STUDY = `fetch>augment fetch>prepare augment>train*48 prepare>train*48 prepare>calibrate calibrate>quantize
  train*48>evaluate*2:afterany evaluate*2>report:afterany evaluate*2>publish quantize>publish
  report>on_exit/notify:on_exit publish>on_exit/notify:on_exit`;

function placesOf(text: string) {
  const layout = layOut(flowOf(graphOf(text)));
  return { layout, at: new Map(layout.nodes.map((place) => [place.node.id, place])) };
}

test("a layer is the longest way from a root, and handlers stand right of the dotted line", () => {
  const { layout, at } = placesOf(STUDY);
  expect([...at].map(([id, place]) => [id, place.layer])).toEqual([
    ["fetch", 0],
    ["augment", 1],
    ["prepare", 1],
    ["train", 2],
    ["calibrate", 2],
    ["quantize", 3],
    ["evaluate", 3],
    ["report", 4],
    ["publish", 4],
    ["on_exit/notify", 5],
  ]);
  expect(at.get("report")?.x).toBe(4 * LAYER);
  const handler = at.get("on_exit/notify")?.x ?? 0;
  expect(layout.divider).toBeGreaterThan(4 * LAYER + NODE_WIDTH);
  expect(layout.divider).toBeLessThan(handler);
});

test("a chain is straight, a fork is in the middle of what it leads to, and no two nodes overlap", () => {
  const { at } = placesOf(STUDY);
  const y = (id: string) => at.get(id)?.y ?? Number.NaN;
  expect(y("fetch")).toBe((y("augment") + y("prepare")) / 2);
  expect([y("train"), y("evaluate"), y("report")]).toEqual([0, 0, 0]);
  expect([y("calibrate"), y("quantize"), y("publish")]).toEqual([LANE, LANE, LANE]);
});

test("an edge that passes a layer passes its nodes too, and turns at right angles between layers", () => {
  const { layout, at } = placesOf("a>b b>c c>d a>d a>e e>d");
  const edge = layout.edges.find((each) => each.edge.from === "a" && each.edge.to === "d");
  const boxes = ["b", "c", "e"].map((id) => at.get(id));
  const points = edge?.points ?? [];
  expect(points.length).toBeGreaterThan(2);
  for (const [index, point] of points.entries()) {
    const next = points[index + 1];
    if (!next) continue;
    expect(point.x === next.x || point.y === next.y).toBe(true);
    for (const box of boxes) {
      if (!box || point.y !== next.y || next.x <= box.x || point.x >= box.x + NODE_WIDTH) continue;
      expect(point.y <= box.y || point.y >= box.y + NODE_HEIGHT).toBe(true);
    }
  }
});

test("the layout does not depend on the order of edges or on statuses", () => {
  const graph = graphOf(STUDY);
  const other = {
    ...graph,
    edges: [...graph.edges].reverse(),
    nodes: graph.nodes.map((node) => ({ ...node, status: "FAILED" as const })),
  };
  const places = (document: typeof graph) =>
    layOut(flowOf(document)).nodes.map(({ node, x, y }) => [node.id, x, y]);
  expect(places(other)).toEqual(places(graph));
});

test("three hundred tasks are laid out as fewer than forty nodes", () => {
  const graph = large();
  expect(graph.nodes.length).toBeGreaterThan(300);
  const folded = fold(flowOf(graph));
  expect(folded.nodes.length).toBeLessThan(40);
  expect(layOut(folded).nodes.length).toBe(folded.nodes.length);
});
