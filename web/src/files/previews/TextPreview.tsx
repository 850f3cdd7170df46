import { useMemo } from "preact/hooks";
import { bytes, count } from "../../ui/format";
import { visibleText } from "../../ui/visibleText";
import type { TextProps } from "./Preview";

const MOST_LINES = 10_000;

/** A text with the numbers of its lines. */
export function TextPreview({ text, isCut, total }: TextProps) {
  const [all, lines] = useMemo(() => {
    const found = text.split("\n");
    if (found.length > 1 && found.at(-1) === "") found.pop();
    return [
      found.length,
      found.slice(0, MOST_LINES).map((line) => visibleText(line.replace(/\r$/, ""))),
    ] as const;
  }, [text]);
  if (!total) return <p class="data-panel-note">It is empty.</p>;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keys */}
      <section class="text-preview" tabIndex={0} aria-label="text">
        <pre class="text-preview-numbers" aria-hidden="true">
          {lines.map((_, index) => index + 1).join("\n")}
        </pre>
        <pre class="text-preview-text" dir="auto">
          {lines.join("\n")}
        </pre>
      </section>
      {all > lines.length ? (
        <p class="preview-note">
          The first {count(lines.length)} of {isCut ? "more than " : ""}
          {count(all)} lines; the rest is in the download.
        </p>
      ) : isCut ? (
        <p class="preview-note">
          The first {count(lines.length)} lines, {bytes(text.length)} of {bytes(total)}; the rest is in the
          download.
        </p>
      ) : null}
    </>
  );
}
