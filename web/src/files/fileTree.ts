// The tree of folders of saved files, and the globs that choose among them.
import type { SavedFile } from "./savedFiles";

export interface TreeFolder {
  readonly kind: "folder";
  /** Its path with those above it, as folded rows are named. */
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly files: number;
  readonly bytes: number;
}

export interface TreeFile {
  readonly kind: "file";
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly file: SavedFile;
}

export type TreeRow = TreeFolder | TreeFile;

interface Node {
  readonly folders: Map<string, Node>;
  readonly files: Map<string, SavedFile>;
}

/**
 * The rows of the tree, folders first, without those in folded folders.
 *
 * @param files each with the path under which it is shown
 * @param folded the paths of folded folders
 */
export function treeRows(
  files: readonly (readonly [path: readonly string[], file: SavedFile])[],
  folded: ReadonlySet<string>,
): TreeRow[] {
  const top: Node = { folders: new Map(), files: new Map() };
  for (const [path, file] of files) {
    let node = top;
    for (const part of path.slice(0, -1)) {
      const next: Node = node.folders.get(part) ?? { folders: new Map(), files: new Map() };
      node.folders.set(part, next);
      node = next;
    }
    node.files.set(path.at(-1) ?? "", file);
  }
  const rows: TreeRow[] = [];
  add(rows, top, "", 0, folded);
  return rows;
}

const byName = new Intl.Collator("en", { numeric: true }).compare;

function add(rows: TreeRow[], node: Node, above: string, depth: number, folded: ReadonlySet<string>): void {
  for (const [name, folder] of sorted(node.folders)) {
    const path = `${above}${name}/`;
    rows.push({ kind: "folder", path, name, depth, ...totals(folder) });
    if (!folded.has(path)) add(rows, folder, path, depth + 1, folded);
  }
  for (const [name, file] of sorted(node.files)) {
    rows.push({ kind: "file", path: above + name, name, depth, file });
  }
}

function sorted<Value>(entries: Map<string, Value>): [string, Value][] {
  return [...entries].sort(([left], [right]) => byName(left, right));
}

function totals(node: Node): { files: number; bytes: number } {
  let files = node.files.size;
  let bytes = 0;
  for (const file of node.files.values()) bytes += file.bytes;
  for (const folder of node.folders.values()) {
    const below = totals(folder);
    files += below.files;
    bytes += below.bytes;
  }
  return { files, bytes };
}

/**
 * Whether a path matches what was typed: a glob if it has `*` or `?` (`**` also matches `/`; one without
 * `/` is of the file's name), else a part of the path in any case.
 */
export function isFound(path: string, typed: string): boolean {
  const wanted = typed.trim();
  if (!wanted) return true;
  if (!/[*?]/.test(wanted)) return path.toLowerCase().includes(wanted.toLowerCase());
  const subject = wanted.includes("/") ? path : (path.split("/").at(-1) ?? path);
  return globPattern(wanted.replace(/^\//, "")).test(subject);
}

function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*\/|\*\*|[*?]|[^*?]+/g, (part) => {
    if (part === "**/") return "(?:.*/)?";
    if (part === "**") return ".*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    return part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${source}$`, "is");
}
