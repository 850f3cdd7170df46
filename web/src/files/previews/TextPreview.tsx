import { useMemo } from "preact/hooks";
import { bytes, count } from "../../ui/format";
import { visibleText } from "../../ui/visibleText";
import type { TextProps } from "./Preview";

/** A text with the numbers of its lines. */
export function TextPreview({ text, isCut, total }: TextProps) {
  const lines = useMemo(() => {
    const found = text.split("\n");
    if (found.length > 1 && found.at(-1) === "") found.pop();
    return found.map((line) => visibleText(line.replace(/\r$/, "")));
  }, [text]);
  if (!total) return <p class="panel-note">It is empty.</p>;
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
      {isCut ? (
        <p class="preview-note">
          The first {count(lines.length)} lines, {bytes(text.length)} of {bytes(total)}; the rest is in the
          download.
        </p>
      ) : null}
    </>
  );
}
