import { useState } from "preact/hooks";
import { count } from "./format";
import { beginningOf } from "./longTexts";
import { visibleText } from "./visibleText";

export interface LongTextProps {
  readonly text: string;
  /** The characters that are shown at first. */
  readonly most?: number;
}

/** A text that others wrote: its beginning, and all of it on request. */
export function LongText({ text, most = 500 }: LongTextProps) {
  const [isOpen, setOpen] = useState(false);
  const beginning = beginningOf(text, most);
  if (beginning === text) return <>{visibleText(text)}</>;
  return (
    <>
      {visibleText(isOpen ? text : `${beginning}…`)}{" "}
      <button type="button" class="long-text-more" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {isOpen ? "less" : `all ${count(text.length)} characters`}
      </button>
    </>
  );
}
