import { useMemo, useState } from "preact/hooks";
import { count } from "../ui/format";
import { type Parsed, PLAIN } from "./ansi";
import { appearance } from "./appearance";
import { logLines, rowsOf } from "./lines";
import "./LogLines.css";

export interface LogLinesProps {
  readonly text: string;
  /** The number of the first line; null for no numbers. */
  readonly first?: number | null;
  /** The number of the line of the error. */
  readonly error?: number | null;
  readonly label?: string;
}

/** Some lines of a log with their colours: for a few hundred, such as the end of a log in a report. */
export function LogLines({ text, first = 1, error = null, label = "Log" }: LogLinesProps) {
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const lines = useMemo(() => {
    const texts = text.replace(/\n$/, "").split("\n");
    return text
      ? logLines(
          texts.map((raw, offset) => ({ offset, raw })),
          first ?? 1,
          PLAIN,
        )
      : [];
  }, [text, first]);
  const toggle = (index: number) =>
    setOpened(
      (before) => new Set(before.has(index) ? [...before].filter((at) => at !== index) : [...before, index]),
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls is reached by keyboard
    <section class="log-lines" aria-label={label} tabIndex={0}>
      {lines.map((line) => {
        const isOpened = opened.has(line.index);
        const rows = rowsOf({ ...line, isOpened, isWhole: isOpened });
        return rows.map((row, number) => (
          <div
            key={`${line.index} ${number}`}
            class={line.index === error ? "log-lines-row log-lines-error" : "log-lines-row"}
          >
            {first === null ? null : (
              <span class="log-lines-number" aria-hidden="true">
                {row.isFirst ? line.index : ""}
              </span>
            )}
            <span class="log-lines-text" dir="auto">
              <Styled parsed={row.shown} end={row.text.length} />
              {number === 0 && (line.states > 1 || row.cut || isOpened) ? (
                <button
                  type="button"
                  class="log-lines-more"
                  aria-expanded={isOpened}
                  onClick={() => toggle(line.index)}
                >
                  {isOpened
                    ? "fold"
                    : row.cut
                      ? `… ${count(Math.max(1, Math.round(row.cut / 1000)))} kB more`
                      : `${count(line.states)} states`}
                </button>
              ) : null}
            </span>
          </div>
        ));
      })}
    </section>
  );
}

/** The text with its spans, up to an end. */
function Styled({ parsed, end }: { parsed: Parsed; end: number }) {
  if (!parsed.spans.length) return <>{parsed.text.slice(0, end)}</>;
  const parts = [];
  let read = 0;
  for (const span of parsed.spans) {
    const [from, to] = [Math.min(span.from, end), Math.min(span.to, end)];
    if (from > read) parts.push(parsed.text.slice(read, from));
    const { classes, variables } = appearance(span.style);
    if (to > from) {
      parts.push(
        <span key={from} class={classes} style={variables}>
          {parsed.text.slice(from, to)}
        </span>,
      );
    }
    read = to;
  }
  parts.push(parsed.text.slice(read, end));
  return <>{parts}</>;
}
