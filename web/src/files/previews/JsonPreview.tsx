import { useMemo, useState } from "preact/hooks";
import { ExactNumber, type Json, jsonText, parseExact } from "../../ui/exactJson";
import { count } from "../../ui/format";
import { LongText } from "../../ui/LongText";
import { labelText } from "../../ui/shownTexts";
import type { TextProps } from "./Preview";
import { TextPreview } from "./TextPreview";

const OPEN_LEVELS = 2;
const MOST_ITEMS = 100;

/** A JSON text as a tree whose parts fold; as text if it is not whole, or no JSON. */
export function JsonPreview(props: TextProps) {
  const value = useMemo(() => (props.isCut ? undefined : parsed(props.text)), [props.text, props.isCut]);
  if (value === undefined) {
    return (
      <>
        {props.isCut || !props.total ? null : (
          <p class="preview-note">This is no JSON; it is shown as text.</p>
        )}
        <TextPreview {...props} />
      </>
    );
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keys
    <section class="json-preview" tabIndex={0} aria-label="JSON">
      <JsonNode name={null} value={value} level={0} />
    </section>
  );
}

function parsed(text: string): Json | undefined {
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}

function JsonNode({ name, value, level }: { name: string | null; value: Json; level: number }) {
  const [isOpen, setOpen] = useState(level < OPEN_LEVELS);
  const [most, setMost] = useState(MOST_ITEMS);
  const label = name === null ? null : <span class="json-preview-name">{labelText(name, 240)}: </span>;
  const isList = Array.isArray(value);
  if (value === null || typeof value !== "object" || value instanceof ExactNumber) {
    const kind =
      value === null || typeof value === "boolean" ? "word" : typeof value === "string" ? "text" : "number";
    return (
      <div class="json-preview-leaf">
        {label}
        <span class={`json-preview-${kind}`}>
          <LongText text={jsonText(value)} most={1_000} />
        </span>
      </div>
    );
  }
  const entries: [string, Json][] = isList
    ? (value as readonly Json[]).map((each, index) => [String(index), each])
    : Object.entries(value as Record<string, Json>);
  const size = isList ? `[${count(entries.length)}]` : `{${count(entries.length)}}`;
  if (!entries.length) {
    return (
      <div class="json-preview-leaf">
        {label}
        {isList ? "[]" : "{}"}
      </div>
    );
  }
  return (
    <div>
      <button type="button" class="json-preview-fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span> {label}
        <span class="json-preview-size">{size}</span>
      </button>
      {isOpen ? (
        <div class="json-preview-inner">
          {entries.slice(0, most).map(([key, each]) => (
            <JsonNode key={key} name={key} value={each} level={level + 1} />
          ))}
          {entries.length > most ? (
            <button type="button" class="json-preview-fold" onClick={() => setMost(most * 10)}>
              {count(entries.length - most)} more
            </button>
          ) : null}
        </div>
      ) : null}
    </div>
  );
}
