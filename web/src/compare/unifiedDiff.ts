// The output of `git diff` as files with numbered lines.

export interface DiffLine {
  readonly kind: "same" | "added" | "removed" | "gap";
  /** In the file after the change, or before it for a removed line. */
  readonly number: number | null;
  readonly text: string;
}

export interface DiffFile {
  readonly name: string;
  /** What git says instead of lines, such as that a file is binary or was renamed. */
  readonly notes: readonly string[];
  readonly lines: readonly DiffLine[];
  readonly added: number;
  readonly removed: number;
}

interface Open {
  name: string;
  notes: string[];
  lines: DiffLine[];
  added: number;
  removed: number;
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** The files of a diff. */
export function filesOf(diff: string): DiffFile[] {
  const files: Open[] = [];
  let file: Open | null = null;
  let [before, after, leftBefore, leftAfter] = [0, 0, 0, 0];
  for (const line of diff.split("\n")) {
    const isInHunk = leftBefore > 0 || leftAfter > 0;
    if (!isInHunk && line.startsWith("diff --git ")) {
      file = { name: nameIn(line), notes: [], lines: [], added: 0, removed: 0 };
      files.push(file);
    } else if (!file) {
    } else if (isInHunk || line.startsWith("\\")) {
      if (line.startsWith("\\")) file.lines.push({ kind: "gap", number: null, text: line.slice(2) });
      else if (line.startsWith("+")) {
        file.lines.push({ kind: "added", number: after, text: line.slice(1) });
        file.added += 1;
        after += 1;
        leftAfter -= 1;
      } else if (line.startsWith("-")) {
        file.lines.push({ kind: "removed", number: before, text: line.slice(1) });
        file.removed += 1;
        before += 1;
        leftBefore -= 1;
      } else {
        file.lines.push({ kind: "same", number: after, text: line.slice(1) });
        before += 1;
        after += 1;
        leftBefore -= 1;
        leftAfter -= 1;
      }
    } else {
      const hunk = line.match(HUNK);
      if (hunk) {
        before = Number(hunk[1]);
        after = Number(hunk[3]);
        leftBefore = Number(hunk[2] ?? 1);
        leftAfter = Number(hunk[4] ?? 1);
        if (file.lines.length) file.lines.push({ kind: "gap", number: null, text: "…" });
      } else if (line.startsWith("+++ ")) {
        const name = unquoted(line.slice(4));
        if (name !== "/dev/null") file.name = name.replace(/^b\//, "");
      } else if (/^(Binary|new file|deleted|rename|similarity|old mode|new mode)/.test(line))
        file.notes.push(line);
    }
  }
  return files;
}

function nameIn(line: string): string {
  const found = line.match(/ "?b\/(.*?)"?$/);
  return found?.[1] ?? line.slice("diff --git ".length);
}

function unquoted(name: string): string {
  if (!name.startsWith('"')) return name.replace(/\t$/, "");
  return name.slice(1, -1).replace(/\\(["\\])/g, "$1");
}

/** `2 files, +4 −1`. */
export function summary(files: readonly DiffFile[]): string {
  if (!files.length) return "none";
  const added = files.reduce((sum, file) => sum + file.added, 0);
  const removed = files.reduce((sum, file) => sum + file.removed, 0);
  return `${files.length} ${files.length === 1 ? "file" : "files"}, +${added} −${removed}`;
}
