import { useMemo, useState } from "preact/hooks";
import { DiffLines } from "../ui/DiffLines";
import { type FileDiff, parseUnifiedDiff } from "../ui/diffHunks";
import { count } from "../ui/format";
import { visibleText } from "../ui/visibleText";

const SHOWN = 400; // lines until one asks for more

/** The uncommitted changes of a repository, with the names of the files and the numbers of the lines. */
export function GitDiff({ diff }: { diff: string }) {
  const files = useMemo(() => parseUnifiedDiff(diff), [diff]);
  const [isAll, setAll] = useState(false);
  const total = files.reduce((sum, file) => sum + lineCount(file), 0);
  const shown = isAll ? files : beginning(files);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways
    <section class="params-git-diff" tabIndex={0} aria-label="Uncommitted changes">
      {shown.map((file) => (
        <div key={file.name}>
          <p class="params-git-file">
            <bdi>{visibleText(file.name)}</bdi>
            {file.notes.length ? ` · ${file.notes.map(visibleText).join(", ")}` : ""}
          </p>
          <DiffLines hunks={file.hunks} />
        </div>
      ))}
      {isAll || total <= SHOWN ? null : (
        <button type="button" class="button small" onClick={() => setAll(true)}>
          All {count(total)} lines
        </button>
      )}
    </section>
  );
}

function lineCount(file: FileDiff): number {
  return file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
}

/** The first files and hunks, until they have enough lines. */
function beginning(files: readonly FileDiff[]): FileDiff[] {
  const kept: FileDiff[] = [];
  let left = SHOWN;
  for (const file of files) {
    if (left <= 0) break;
    const hunks = [];
    for (const hunk of file.hunks) {
      if (left <= 0) break;
      hunks.push({ ...hunk, lines: hunk.lines.slice(0, left) });
      left -= hunk.lines.length;
    }
    kept.push({ ...file, hunks });
  }
  return kept;
}

/** `2 files, +4 −1`; `none` without a change. */
export function summary(files: readonly FileDiff[]): string {
  if (!files.length) return "none";
  const added = files.reduce((sum, file) => sum + file.added, 0);
  const removed = files.reduce((sum, file) => sum + file.removed, 0);
  return `${files.length} ${files.length === 1 ? "file" : "files"}, +${added} −${removed}`;
}
