// Differences of texts as numbered lines, from a unified diff or from two texts.
import { structuredPatch } from "diff";

export interface DiffLine {
  readonly kind: "same" | "removed" | "added";
  readonly before: number | null;
  readonly after: number | null;
  readonly text: string;
}

export interface DiffHunk {
  /** What the diff says after its `@@`: the function or the section. */
  readonly heading: string;
  readonly lines: readonly DiffLine[];
}

export interface FileDiff {
  readonly name: string;
  /** Its former name, if it has another one. */
  readonly from: string | null;
  /** What else the diff says of it, such as `new file` and `binary`. */
  readonly notes: readonly string[];
  readonly added: number;
  readonly removed: number;
  readonly hunks: readonly DiffHunk[];
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/;

/** The files of a diff as `git diff` writes it. */
export function parseUnifiedDiff(text: string): FileDiff[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const files: FileDiff[] = [];
  let index = 0;
  while (index < lines.length) {
    const header = lines[index] ?? "";
    index += 1;
    if (!header.startsWith("diff --git ")) continue;
    let [name, from] = namesOf(header);
    const notes: string[] = [];
    const hunks: DiffHunk[] = [];
    while (index < lines.length && !(lines[index] ?? "").startsWith("diff --git ")) {
      const line = lines[index] ?? "";
      const hunk = HUNK.exec(line);
      if (hunk) {
        const [end, made] = readHunk(lines, index + 1, hunk);
        hunks.push(made);
        index = end;
        continue;
      }
      if (line.startsWith("--- ") && line !== "--- /dev/null")
        from = unquoted(line.slice(4)).replace(/^a\//, "");
      else if (line.startsWith("+++ ") && line !== "+++ /dev/null")
        name = unquoted(line.slice(4)).replace(/^b\//, "");
      else if (line.startsWith("rename from ")) from = unquoted(line.slice(12));
      else if (line.startsWith("rename to ")) name = unquoted(line.slice(10));
      if (/^(new file|deleted file|old mode|new mode|similarity|Binary files|GIT binary)/.test(line))
        notes.push(note(line));
      index += 1;
    }
    files.push({ name, from: from === name ? null : from, notes, ...counts(hunks), hunks });
  }
  return files;
}

function namesOf(header: string): [string, string | null] {
  const rest = header.slice("diff --git ".length);
  const halves = /^a\/(.*) b\/(.*)$/.exec(rest);
  return halves ? [halves[2] ?? rest, halves[1] ?? null] : [unquoted(rest), null];
}

function unquoted(name: string): string {
  const plain = name.replace(/\t$/, "");
  return plain.startsWith('"') && plain.endsWith('"')
    ? plain.slice(1, -1).replace(/\\(["\\])/g, "$1")
    : plain;
}

function note(line: string): string {
  if (line.startsWith("Binary") || line.startsWith("GIT binary")) return "binary";
  return line.replace(/^(new|deleted) file mode.*/, "$1 file");
}

function readHunk(lines: readonly string[], begin: number, head: RegExpExecArray): [number, DiffHunk] {
  let [before, after] = [Number(head[1]), Number(head[3])];
  let [oldLeft, newLeft] = [Number(head[2] ?? 1), Number(head[4] ?? 1)];
  const found: DiffLine[] = [];
  let index = begin;
  while (index < lines.length && (oldLeft > 0 || newLeft > 0)) {
    const line = lines[index] ?? "";
    const text = line.slice(1);
    index += 1;
    if (line.startsWith("\\")) continue;
    if (line.startsWith("-")) found.push({ kind: "removed", before: before++, after: null, text });
    else if (line.startsWith("+")) found.push({ kind: "added", before: null, after: after++, text });
    else found.push({ kind: "same", before: before++, after: after++, text });
    if (!line.startsWith("+")) oldLeft -= 1;
    if (!line.startsWith("-")) newLeft -= 1;
  }
  return [index, { heading: head[5] ?? "", lines: found }];
}

function counts(hunks: readonly DiffHunk[]): { added: number; removed: number } {
  const lines = hunks.flatMap((hunk) => hunk.lines);
  return {
    added: lines.filter((line) => line.kind === "added").length,
    removed: lines.filter((line) => line.kind === "removed").length,
  };
}

/** The hunks by which two texts differ, with three lines around each; none if they are equal. */
export function textHunks(before: string, after: string): DiffHunk[] {
  const patch = structuredPatch("", "", before, after, "", "", { context: 3 });
  return patch.hunks.map((hunk) => {
    let [old, now] = [hunk.oldStart, hunk.newStart];
    const lines: DiffLine[] = [];
    for (const line of hunk.lines) {
      const text = line.slice(1);
      if (line.startsWith("-")) lines.push({ kind: "removed", before: old++, after: null, text });
      else if (line.startsWith("+")) lines.push({ kind: "added", before: null, after: now++, text });
      else if (line.startsWith(" ")) lines.push({ kind: "same", before: old++, after: now++, text });
    }
    return { heading: "", lines };
  });
}
