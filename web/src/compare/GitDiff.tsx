import { useMemo, useState } from "preact/hooks";
import { count } from "../ui/format";
import { type DiffLine, filesOf } from "./unifiedDiff";
import "./GitDiff.css";

const SHOWN = 400; // lines until one asks for more

const SIGNS = { added: "+", removed: "−", same: "", gap: "" } as const;

/** The uncommitted changes of a repository, with the names of the files and the numbers of the lines. */
export function GitDiff({ diff }: { diff: string }) {
  const files = useMemo(() => filesOf(diff), [diff]);
  const [most, setMost] = useState(SHOWN);
  const total = files.reduce((sum, file) => sum + file.lines.length, 0);
  let left = most;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways
    <section class="git-diff" tabIndex={0} aria-label="Uncommitted changes">
      {files.map((file) => {
        const lines = file.lines.slice(0, Math.max(0, left));
        if (left <= 0) return null;
        left -= file.lines.length;
        return (
          <table key={file.name}>
            <caption>
              <bdi>{file.name}</bdi>
              {file.notes.length ? ` · ${file.notes.join(", ")}` : ""}
            </caption>
            <tbody>
              {lines.map((line, index) => (
                <Line key={index} line={line} />
              ))}
            </tbody>
          </table>
        );
      })}
      {total > most ? (
        <button type="button" class="button small git-diff-more" onClick={() => setMost(most + 10 * SHOWN)}>
          {count(total - most)} more lines
        </button>
      ) : null}
    </section>
  );
}

function Line({ line }: { line: DiffLine }) {
  return (
    <tr class={`is-${line.kind}`}>
      <td class="diff-number">{line.number}</td>
      <td class="diff-sign">
        <span class="visually-hidden">
          {line.kind === "added" || line.kind === "removed" ? line.kind : ""}
        </span>
        {SIGNS[line.kind]}
      </td>
      <td>
        <bdi>{line.text || " "}</bdi>
      </td>
    </tr>
  );
}
