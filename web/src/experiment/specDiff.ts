// The lines that differ between two texts, with what is the same around them folded.
import { diffLines } from "diff";

export type DiffRow =
  | {
      readonly kind: "same" | "added" | "removed";
      readonly before: number | null;
      readonly after: number | null;
      readonly text: string;
    }
  | { readonly kind: "folded"; readonly count: number };

const AROUND = 3; // lines of context

/** The rows of the difference; of what is the same only three lines around a change. */
export function diffRows(before: string, after: string): DiffRow[] {
  const rows: DiffRow[] = [];
  let old = 1;
  let now = 1;
  const parts = diffLines(before, after);
  for (const [index, part] of parts.entries()) {
    const lines = linesOf(part.value);
    if (part.added) for (const text of lines) rows.push({ kind: "added", before: null, after: now++, text });
    else if (part.removed)
      for (const text of lines) rows.push({ kind: "removed", before: old++, after: null, text });
    else {
      const head = index === 0 ? 0 : AROUND;
      const tail = index === parts.length - 1 ? 0 : AROUND;
      for (const [place, text] of lines.entries()) {
        const isShown = place < head || place >= lines.length - tail || lines.length <= head + tail + 1;
        if (isShown) rows.push({ kind: "same", before: old, after: now, text });
        else if (place === head) rows.push({ kind: "folded", count: lines.length - head - tail });
        old += 1;
        now += 1;
      }
    }
  }
  return rows;
}

/** The lines of a text, whose last one may end with a line break. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  return lines;
}
