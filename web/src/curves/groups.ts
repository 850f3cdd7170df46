// Many metrics in groups: by series, or by the first part of their key.
import type { Metric } from "./model";

export interface MetricGroup {
  readonly name: string;
  readonly keys: readonly string[];
}

/** What supervisors measured of processes. */
export const MEASURED = "system";

/**
 * The groups in the order of their first metric, but those with a loss first, and what was measured of processes
 * last; in a group, a loss comes first.
 */
export function groupsOf(metrics: readonly Metric[]): MetricGroup[] {
  const groups = new Map<string, string[]>();
  for (const { key, series } of metrics) {
    const slash = key.indexOf("/");
    const name = series ?? (slash > 0 ? key.slice(0, slash) : "");
    const keys = groups.get(name);
    if (keys) keys.push(key);
    else groups.set(name, [key]);
  }
  return [...groups]
    .map(([name, keys]) => ({ name, keys: keys.sort((left, right) => rank(left) - rank(right)) }))
    .sort((left, right) => rankOf(left) - rankOf(right));
}

function rank(key: string): number {
  const name = key.slice(key.lastIndexOf("/") + 1);
  return name === "loss" ? 0 : /loss/i.test(name) ? 1 : 2;
}

function rankOf({ name, keys }: MetricGroup): number {
  return name === MEASURED ? 3 : Math.min(...keys.map(rank));
}

const FEW = 9;
const OPEN = 12;

/** Whether a group is open at first: the first ones, up to about a dozen metrics, and never what was measured. */
export function isOpenAtFirst(groups: readonly MetricGroup[], index: number): boolean {
  const group = groups[index];
  if (!group) return false;
  if (group.name === MEASURED) return groups.length === 1;
  const before = groups.slice(0, index).reduce((sum, each) => sum + each.keys.length, 0);
  return index === 0 || before + group.keys.length <= OPEN;
}

/** Whether headings of groups help: with many metrics, or with some that are folded at first. */
export function hasHeadings(groups: readonly MetricGroup[]): boolean {
  const all = groups.reduce((sum, each) => sum + each.keys.length, 0);
  return groups.length > 1 && (all > FEW || groups.some((group) => group.name === MEASURED));
}
