import { withQuery } from "../app/route";
import { count } from "../ui/format";
import "./Pager.css";

export interface PagerProps {
  readonly offset: number;
  readonly shown: number;
  readonly total: number;
  readonly previous: string | null;
  readonly next: string | null;
  /** What the page before and the page after are called. */
  readonly words: readonly [string, string];
}

/** `1–50 of 1,284`. */
export function PageRange({ offset, shown, total }: Pick<PagerProps, "offset" | "shown" | "total">) {
  const range = shown ? `${count(offset + 1)}–${count(offset + shown)}` : "0";
  return (
    <span class="page-range">
      {range} of {count(total)}
    </span>
  );
}

/** The links to the pages beside this one. */
export function Pager({
  previous,
  next,
  words: [before, after],
}: Pick<PagerProps, "previous" | "next" | "words">) {
  return (
    <nav class="pager" aria-label="Pages">
      <Way cursor={previous} label={before} isBack />
      <Way cursor={next} label={after} />
    </nav>
  );
}

function Way({ cursor, label, isBack = false }: { cursor: string | null; label: string; isBack?: boolean }) {
  const arrow = (
    <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true" fill="none" stroke="currentColor">
      <path d={isBack ? "M5.5 1 2.5 4l3 3" : "m2.5 1 3 3-3 3"} />
    </svg>
  );
  const text = isBack ? [arrow, label] : [label, arrow];
  if (cursor === null) {
    return (
      <span class="button small pager-end" aria-disabled="true">
        {text}
      </span>
    );
  }
  return (
    <a
      class="button small"
      href={withQuery({ cursor: cursor || null })}
      rel={isBack ? "prev" : "next"}
      onClick={() => scrollTo(0, 0)}
    >
      {text}
    </a>
  );
}
