// Graphs for the tests of this folder.
import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";

type Edge = GraphDocument["edges"][number];
export type Task = StatusDocument["tasks"][number];

/** A graph of these edges, such as `a>b` or `a>b:afterany`; `name*3` is a group of three. */
export function graphOf(text: string): GraphDocument {
  const nodes = new Map<string, GraphDocument["nodes"][number]>();
  const node = (word: string) => {
    const [id = "", count] = word.split("*");
    if (!nodes.has(id)) {
      const members = count ? Array.from({ length: Number(count) }, (_, index) => `${id}/${index}`) : [id];
      const kind = count ? "group" : "task";
      nodes.set(id, { id, kind, members, executors: ["local"], status: null, counts: {}, description: null });
    }
    return id;
  };
  const edges: Edge[] = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [ends = "", type = "afterok"] = word.split(":");
    const [from = "", to] = ends.split(">").map(node);
    if (to) edges.push({ from, to, type: type as Edge["type"] });
  }
  return {
    schema: "exp.graph/1",
    id: "test_1",
    name: "test",
    status: "RUNNING",
    nodes: [...nodes.values()],
    edges,
    groups: [],
  };
}

/** Tasks that have these statuses and nothing else to say. */
export function tasksOf(statuses: Readonly<Record<string, Task["status"]>>): Task[] {
  return Object.entries(statuses).map(([id, status], index) => ({
    id,
    index,
    status,
    executor: "local",
    type: "local",
    job_id: null,
    directory: null,
    attempt: 1,
    exit_code: null,
    group: null,
    reason: null,
    message: null,
    created: null,
    started: null,
    ended: null,
    duration: null,
    dependencies: [],
    outputs: {},
    evidence: null,
  }));
}

/** Three hundred tasks: twelve chains of ten from one root, each with fifteen siblings, and a common end. */
export function large(): GraphDocument {
  const edges: string[] = [];
  for (let pipe = 0; pipe < 12; pipe++) {
    for (let step = 0; step < 10; step++) {
      edges.push(`${step ? `s${pipe}-${step - 1}` : "root"}>s${pipe}-${step}`);
    }
    for (let one = 0; one < 15; one++) edges.push(`s${pipe}-9>e${pipe}-${one}`, `e${pipe}-${one}>end`);
  }
  return graphOf(edges.join(" "));
}
