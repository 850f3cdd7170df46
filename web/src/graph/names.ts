// How nodes are called.
import type { FlowNode } from "./flow";
import { leaves } from "./folding";

const LISTED = 12;

/** The name of a node; a fold is called by the number of its tasks. */
export function nodeName(node: FlowNode): string {
  if (node.kind !== "fold") return node.id;
  return node.members.length === 1 ? "1 task" : `${node.members.length} tasks`;
}

/** What is in a fold: its first and last name if one follows the other, else its first names. */
export function foldNames(node: FlowNode): string {
  const names = leaves(node).map((leaf) => leaf.id);
  if (node.shape === "chain") return `${names[0]} → ${names.at(-1)}`;
  const left = names.length - LISTED;
  return names.slice(0, LISTED).join(", ") + (left > 0 ? ` and ${left} more` : "");
}

/** The first and the last name in a fold, for where there is little room. */
export function foldEnds(node: FlowNode): string {
  const names = leaves(node).map((leaf) => leaf.id);
  return `${names[0]} ${node.shape === "chain" ? "→" : "…"} ${names.at(-1)}`;
}
