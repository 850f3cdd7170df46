import { compareHref, marked, withoutMarks } from "../lists/marks";
import { count } from "../ui/format";

/** How many rows are marked, and their comparison. */
export function Marked() {
  const marks = marked();
  if (!marks.length) return null;
  return (
    <span class="sweep-marked" role="status">
      {count(marks.length)} marked
      <a class="button small main" href={compareHref("record")}>
        Compare
      </a>
      <a class="button small" href={withoutMarks()}>
        Clear
      </a>
    </span>
  );
}
