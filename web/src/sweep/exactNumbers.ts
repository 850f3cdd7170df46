// JSON whose numbers keep their text: 1.0 stays apart from 1, and no digit of a large integer is lost.

/** A number as it is written in a document. */
export class NumberText {
  constructor(
    readonly text: string,
    readonly value: number,
  ) {}
}

const TOKEN = /"((?:[^"\\]|\\.)*)"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const TEXT = "t"; // before a text, and before a key
const NUMBER = "n"; // before the text of a number

/** A document with each number as a `NumberText`. */
export function parseExactly(text: string): unknown {
  const marked = text.replace(TOKEN, (token, inner: string | undefined) =>
    inner === undefined ? `"${NUMBER}${token}"` : `"${TEXT}${inner}"`,
  );
  return restored(JSON.parse(marked));
}

function restored(value: unknown): unknown {
  if (typeof value === "string") {
    const text = value.slice(1);
    return value.startsWith(NUMBER) ? new NumberText(text, Number(text)) : text;
  }
  if (Array.isArray(value)) return value.map(restored);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name.slice(1), restored(each)]));
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
