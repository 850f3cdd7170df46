// Params as nested mappings.
import { exactJson, NumberText } from "../sweep/exactNumbers";
import type { Values } from "./compared";

/** Whether a value is a mapping that is not empty. */
export function isMapping(value: unknown): value is Values {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof NumberText) &&
    Object.keys(value).length > 0
  );
}

/** How many params there are. */
export function leaves(values: Values): number {
  return Object.values(values).reduce(
    (sum: number, value) => sum + (isMapping(value) ? leaves(value) : 1),
    0,
  );
}

/** What has a text in its name, in the name of what it is in, or in its value. */
export function matching(values: Values, text: string): Values {
  const kept = Object.entries(values).flatMap(([name, value]): [string, unknown][] => {
    if (name.toLowerCase().includes(text)) return [[name, value]];
    if (isMapping(value)) {
      const inner = matching(value, text);
      return Object.keys(inner).length ? [[name, inner]] : [];
    }
    const written = typeof value === "string" ? value : exactJson(value);
    return written.toLowerCase().includes(text) ? [[name, value]] : [];
  });
  return Object.fromEntries(kept);
}
