// Names with the value that each of several records has.
import { exactJson } from "../sweep/exactNumbers";

export type Values = Readonly<Record<string, unknown>>;

/** A name with the value of each record; undefined for none. */
export interface Compared {
  readonly name: string;
  readonly values: readonly unknown[];
  readonly differs: boolean;
}

/** All names of some records with their values, in the order in which they appear. */
export function compared(all: readonly Values[]): Compared[] {
  const names = [...new Set(all.flatMap(Object.keys))];
  return names.map((name) => {
    const values = all.map((each) => (Object.hasOwn(each, name) ? each[name] : undefined));
    const texts = new Set(values.map((value) => (value === undefined ? null : exactJson(value))));
    return { name, values, differs: texts.size > 1 };
  });
}
