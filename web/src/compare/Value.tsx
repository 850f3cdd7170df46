import { useState } from "preact/hooks";
import { NumberText } from "../sweep/exactNumbers";
import { rounded } from "../sweep/values";
import { visibleText } from "../ui/visibleText";
import { changedPart, shown } from "./texts";

const LONGEST = 240; // characters of a value until one asks for more
const LONG_NUMBER = 9; // characters
const LEAST_MARKED = 4; // characters of a value of which a part is marked

export interface ValueProps {
  readonly value: unknown;
  /** A value that it differs from: the part that changed is marked. */
  readonly other?: unknown;
  /** A text to find: it is marked. */
  readonly found?: string;
  /** Whether a long number is shown with six digits; all of them are its title. */
  readonly isRounded?: boolean;
}

/** A value with its type: texts plain, null and booleans in italics, a text in quotes if it looks like another type. */
export function Value({ value, other, found, isRounded = false }: ValueProps) {
  const [isOpen, setOpen] = useState(false);
  if (value === undefined) return <span class="value-none">none</span>;
  if (isRounded && value instanceof NumberText && value.text.length > LONG_NUMBER) {
    return <span title={value.text}>{rounded(value.value, 6)}</span>;
  }
  const text = visibleText(shown(value));
  const isCut = text.length > LONGEST && !isOpen;
  const parts = partsOf(value, other, text, found);
  const isOther = value === null || typeof value === "boolean";
  return (
    <>
      <bdi class={isOther ? "value-other" : undefined}>
        {parts ? (
          <>
            {isCut ? tail(parts[0]) : parts[0]}
            {parts[1] ? <mark>{isCut ? head(parts[1]) : parts[1]}</mark> : null}
            {isCut ? head(parts[2]) : parts[2]}
          </>
        ) : isCut ? (
          head(text)
        ) : (
          text
        )}
      </bdi>
      {text.length > LONGEST ? (
        <button
          type="button"
          class="long-text-more value-more"
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen ? "less" : `all ${text.length.toLocaleString("en-US")} characters`}
        </button>
      ) : null}
    </>
  );
}

function partsOf(value: unknown, other: unknown, text: string, found = "") {
  if (found) {
    const at = text.toLowerCase().indexOf(found.toLowerCase());
    return at < 0
      ? null
      : ([text.slice(0, at), text.slice(at, at + found.length), text.slice(at + found.length)] as const);
  }
  const isPlain = other === undefined || value instanceof NumberText || other instanceof NumberText;
  if (isPlain || value === null || typeof value === "boolean" || text.length < LEAST_MARKED) return null;
  const others = visibleText(shown(other));
  return others === text ? null : changedPart(text, others);
}

function head(text: string): string {
  return text.length > LONGEST / 2 ? `${text.slice(0, LONGEST / 2)}…` : text;
}

function tail(text: string): string {
  return text.length > LONGEST / 2 ? `…${text.slice(-LONGEST / 2)}` : text;
}
