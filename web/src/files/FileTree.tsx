import { useRef, useState } from "preact/hooks";
import { navigate, withQuery } from "../app/route";
import { absolute, age, bytes, count } from "../ui/format";
import { visibleText } from "../ui/visibleText";
import { type TreeRow, treeRows } from "./fileTree";
import { previewKind, type SavedFile } from "./savedFiles";
import "./FileTree.css";

const MOST_ROWS = 500; // at first; more on request

export interface FileTreeProps {
  /** The files, each with the path under which it is shown. */
  readonly files: readonly (readonly [path: readonly string[], file: SavedFile])[];
  readonly picked: SavedFile | null;
  /** What the address has for a picked file. */
  queryOf(file: SavedFile): Record<string, string | null>;
}

/** Files by folders: one stop of Tab, then `↑ ↓` or `j k`; `← →` fold a folder, and step through versions. */
export function FileTree({ files, picked, queryOf }: FileTreeProps) {
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [at, setAt] = useState<string | null>(null);
  const table = useRef<HTMLTableElement>(null);
  const rows = treeRows(files, folded);
  const [most, setMost] = useState(MOST_ROWS);
  const shown = rows.filter((row, index) => index < most || isPicked(row, picked));
  const stop = shown.find((row) => row.path === at) ?? shown.find((row) => isPicked(row, picked)) ?? shown[0];
  const fold = (path: string, isOpen: boolean) =>
    setFolded((before) => {
      const after = new Set(before);
      if (isOpen) after.delete(path);
      else after.add(path);
      return after;
    });
  const moveTo = (row: TreeRow | undefined) => {
    if (!row) return;
    setAt(row.path);
    if (row.kind === "file") navigate(withQuery(queryOf(row.file)), { replace: true });
    const index = shown.indexOf(row);
    table.current?.querySelectorAll<HTMLElement>("[data-row]")[index]?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !stop) return;
    const index = shown.indexOf(stop);
    const target = {
      ArrowDown: shown[index + 1],
      j: shown[index + 1],
      ArrowUp: shown[index - 1],
      k: shown[index - 1],
      Home: shown[0],
      End: shown.at(-1),
    }[event.key];
    if (target) moveTo(target);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const isRight = event.key === "ArrowRight";
      if (stop.kind === "folder") fold(stop.path, isRight);
      else stepVersion(isRight ? 1 : -1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a treegrid is a table with keys
    <table ref={table} class="file-tree data-table" role="treegrid" aria-label="Files" onKeyDown={onKeyDown}>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col" class="number">
            Versions
          </th>
          <th scope="col" class="number">
            Size
          </th>
          <th scope="col" class="number">
            Saved
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((row) => (
          <Row
            key={row.path}
            row={row}
            isStop={row === stop}
            isPicked={isPicked(row, picked)}
            isFolded={folded.has(row.path)}
            href={row.kind === "file" ? withQuery(queryOf(row.file)) : ""}
            onFocus={() => setAt(row.path)}
            onFold={() => fold(row.path, folded.has(row.path))}
          />
        ))}
        {rows.length > shown.length ? (
          <tr>
            <td colSpan={4}>
              <button type="button" class="file-tree-name" onClick={() => setMost(most + MOST_ROWS)}>
                {count(rows.length - shown.length)} more
              </button>
            </td>
          </tr>
        ) : null}
      </tbody>
    </table>
  );
}

function isPicked(row: TreeRow, picked: SavedFile | null): boolean {
  return row.kind === "file" && row.file === picked;
}

function stepVersion(by: number): void {
  const label = by > 0 ? "The version after" : "The version before";
  document.querySelector<HTMLButtonElement>(`.file-preview-facts [aria-label="${label}"]`)?.click();
}

interface RowProps {
  readonly row: TreeRow;
  readonly isStop: boolean;
  readonly isPicked: boolean;
  readonly isFolded: boolean;
  readonly href: string;
  onFocus(): void;
  onFold(): void;
}

function Row({ row, isStop, isPicked, isFolded, href, onFocus, onFold }: RowProps) {
  const about = {
    "data-row": row.path,
    tabIndex: isStop ? 0 : -1,
    onFocus,
    style: { paddingLeft: `${row.depth * 20}px` },
  };
  const name = visibleText(row.name);
  if (row.kind === "folder") {
    return (
      <tr aria-level={row.depth + 1} aria-expanded={!isFolded}>
        <td colSpan={isFolded ? 1 : 4}>
          <button type="button" class="file-tree-name" onClick={onFold} aria-expanded={!isFolded} {...about}>
            <TreeIcon kind={isFolded ? "folded" : "folder"} />
            <bdi>{name}</bdi>
          </button>
        </td>
        {isFolded ? (
          <>
            <td class="number file-tree-quiet">{count(row.files)} files</td>
            <td class="number file-tree-quiet">{bytes(row.bytes)}</td>
            <td />
          </>
        ) : null}
      </tr>
    );
  }
  const { file } = row;
  return (
    <tr aria-level={row.depth + 1} aria-selected={isPicked} class={isPicked ? "file-tree-picked" : ""}>
      <td>
        <a class="file-tree-name" href={href} {...about}>
          <TreeIcon kind={previewKind(file) === "image" ? "image" : "file"} />
          <bdi>{name}</bdi>
          {file.here === false ? (
            <span class="file-tree-missing">not here yet, {bytes(file.bytes)} to go</span>
          ) : null}
        </a>
      </td>
      <td class="number">{count(file.version)}</td>
      <td class="number">{bytes(file.bytes)}</td>
      <td class="number file-tree-quiet" title={absolute(file.saved)}>
        {age(file.saved)}
      </td>
    </tr>
  );
}

const ICONS = {
  folder: "M1.5 4.5v8h13v-7h-6l-1.5-2h-5.5z",
  folded: "M1.5 4.5v8h13v-7h-6l-1.5-2h-5.5zM6.5 7.5 8.5 9l-2 1.5",
  file: "M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3",
  image: "M2 3h12v10H2zM2 11l3.5-3.5 3 3 2-2L14 12M10.5 5.8h.01",
} as const;

function TreeIcon({ kind }: { kind: keyof typeof ICONS }) {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" fill="none" stroke="currentColor" aria-hidden="true">
      <path d={ICONS[kind]} stroke-width="1.1" stroke-linejoin="round" stroke-linecap="round" />
    </svg>
  );
}
