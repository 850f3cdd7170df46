// JSON whose numbers keep their text: 1.0 stays apart from 1, and no digit of a large integer is lost.

/** A number as it is written in a document. */
export class NumberText {
  constructor(
    readonly text: string,
    readonly value: number,
  ) {}
}

interface ReviverContext {
  readonly source?: string;
}

/** A document with each number as a `NumberText`; in a browser that does not tell the text, as JavaScript writes it. */
export function parseExactly(text: string): unknown {
  const revive = (_: string, value: unknown, context?: ReviverContext) =>
    typeof value === "number" ? new NumberText(context?.source ?? String(value), value) : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

/** A value of such a document as JSON. */
export function exactJson(value: unknown): string {
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(exactJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${exactJson(each)}`);
    return `{${entries.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
