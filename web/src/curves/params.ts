// What distinguishes runs: their params.
import { type Json, jsonText } from "../ui/exactJson";
import type { Run } from "./model";

export interface Differences {
  /** The params whose values are not the same in all runs. */
  readonly differing: readonly string[];
  /** The others, with their value. */
  readonly same: readonly (readonly [string, unknown])[];
}

export function differences(runs: readonly Run[]): Differences {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.params)))];
  const differing: string[] = [];
  const same: [string, unknown][] = [];
  for (const name of names) {
    const values = new Set(runs.map((run) => JSON.stringify(run.params[name])));
    if (values.size > 1) differing.push(name);
    else same.push([name, runs[0]?.params[name]]);
  }
  return { differing, same };
}

/** The shortest endings of dotted names that are still different: `lr` for `train.optimizer.lr`. */
export function shortNames(names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of names) {
    const parts = name.split(/[./]/);
    let taken = 1;
    let short = name;
    for (; taken <= parts.length; taken += 1) {
      short = parts.slice(-taken).join(".");
      const ending = short;
      const isUnique = names.every(
        (other) => other === name || other.split(/[./]/).slice(-taken).join(".") !== ending,
      );
      if (isUnique) break;
    }
    found.set(name, short);
  }
  return found;
}

/** The params that stand for chance alone, by their name. */
export function seedsOf(names: readonly string[]): string[] {
  return names.filter((name) => /(^|[._/-])(random_?)?seeds?$/i.test(name));
}

/** Runs whose params are equal but for some. */
export function grouped(runs: readonly Run[], but: readonly string[]): Run[][] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const rest = Object.entries(run.params).filter(([name]) => !but.includes(name));
    const key = JSON.stringify(rest.sort(([left], [right]) => (left < right ? -1 : 1)));
    const group = groups.get(key);
    if (group) group.push(run);
    else groups.set(key, [run]);
  }
  return [...groups.values()];
}

/** A value of a param as a short text. */
export function paramText(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : jsonText(value as Json);
}
