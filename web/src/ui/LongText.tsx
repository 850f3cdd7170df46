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
  const beginning = beginningOf(text, most);
  // most texts are short, and tables have many of them
  return beginning === text ? visibleText(text) : <CutText text={text} beginning={beginning} />;
}

function CutText({ text, beginning }: { text: string; beginning: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      {visibleText(isOpen ? text : `${beginning}…`)}{" "}
      <button type="button" class="long-text-more" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {isOpen ? "less" : `all ${count(text.length)} characters`}
      </button>
    </>
  );
}
