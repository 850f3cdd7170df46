import type { DiffHunk } from "./diffHunks";
import { visibleText } from "./visibleText";
import "./DiffLines.css";

const SIGNS = { same: " ", removed: "-", added: "+" } as const;

/** Numbered lines of a difference, those that were removed and added on their grounds. */
export function DiffLines({ hunks }: { hunks: readonly DiffHunk[] }) {
  return (
    <div class="diff-lines">
      <table>
        {hunks.map((hunk) => (
          <tbody key={`${hunk.lines[0]?.before} ${hunk.lines[0]?.after}`}>
            {hunk.heading ? (
              <tr class="diff-lines-heading">
                <td colSpan={3} />
                <td>{visibleText(hunk.heading)}</td>
              </tr>
            ) : null}
            {hunk.lines.map((line) => (
              <tr key={`${line.before} ${line.after}`} class={`diff-lines-${line.kind}`}>
                <td class="diff-lines-number">{line.before}</td>
                <td class="diff-lines-number">{line.after}</td>
                <td class="diff-lines-sign">{SIGNS[line.kind]}</td>
                <td class="diff-lines-text">{visibleText(line.text)}</td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}
