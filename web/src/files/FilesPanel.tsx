import { navigate, route, withQuery } from "../app/route";
import { EmptyState } from "../ui/EmptyState";
import { bytes, count } from "../ui/format";
import { Panel } from "../ui/Panel";
import { FilePreview } from "./FilePreview";
import { FileTree } from "./FileTree";
import { isFound } from "./fileTree";
import { recordOf, type SavedFile } from "./savedFiles";

/** Files as a tree, and the picked one. The address has the filter, the file and its version. */
export function FilesPanel({ files }: { files: readonly SavedFile[] }) {
  const query = route.value.query;
  const typed = query.get("find") ?? "";
  const paths = shownPaths(files);
  const shown = paths.filter(([path]) => isFound(path.join("/"), typed));
  const picked = pickedOf(files, query.get("file"), query.get("of")) ?? firstShown(shown);
  const isSeveral = new Set(files.map((file) => file.prefix)).size > 1;
  const queryOf = (file: SavedFile) => ({
    file: file.name,
    of: isSeveral ? file.prefix : null,
    version: null,
    beside: null,
  });
  if (!files.length) {
    return (
      <Panel title="Files">
        <EmptyState>
          <p>
            No files yet. In the program: <code>experiment.files("models").save(…)</code>
          </p>
        </EmptyState>
      </Panel>
    );
  }
  return (
    <Panel
      title="Files"
      about={summary(files)}
      tools={
        <input
          class="field"
          type="search"
          aria-label="Find files"
          placeholder="Find, such as **/*.png"
          value={typed}
          onInput={({ currentTarget: { value } }) =>
            navigate(withQuery({ find: value || null }), { replace: true })
          }
        />
      }
    >
      <div class="files-panel">
        <div class="files-panel-split">
          <div class="files-panel-tree table-scroll">
            {shown.length ? (
              <FileTree files={shown} picked={picked} queryOf={queryOf} />
            ) : (
              <p class="panel-note">
                None of {count(files.length)} files matches <code>{typed}</code>.{" "}
                <a class="link" href={withQuery({ find: null })}>
                  Show all
                </a>
              </p>
            )}
          </div>
          {picked ? (
            <FilePreview key={`${picked.prefix}\n${picked.name}`} record={recordOf(picked)} file={picked} />
          ) : null}
        </div>
      </div>
    </Panel>
  );
}

function pickedOf(files: readonly SavedFile[], name: string | null, prefix: string | null): SavedFile | null {
  if (name === null) return null;
  return files.find((file) => file.name === name && (prefix === null || file.prefix === prefix)) ?? null;
}

/** What is open when the address names no file: the first image, else the first file. */
function firstShown(shown: readonly (readonly [readonly string[], SavedFile])[]): SavedFile | null {
  const files = shown.map(([, file]) => file).filter((file) => file.here !== false);
  return (
    files.find((file) => file.type.startsWith("image/") && !file.type.includes("svg")) ?? files[0] ?? null
  );
}

/** The path of each file: with several records, below the part of its prefix that tells them apart. */
function shownPaths(files: readonly SavedFile[]): (readonly [readonly string[], SavedFile])[] {
  const prefixes = [...new Set(files.map((file) => file.prefix))].map((prefix) => prefix.split("/"));
  let common = prefixes.length > 1 ? 0 : Number.POSITIVE_INFINITY;
  const shortest = Math.min(...prefixes.map((parts) => parts.length));
  while (common < shortest - 1 && new Set(prefixes.map((parts) => parts[common])).size === 1) common += 1;
  return files.map((file) => {
    const own = prefixes.length > 1 ? [file.prefix.split("/").slice(common).join("/")] : [];
    return [[...own, ...file.name.split("/").filter(Boolean)], file] as const;
  });
}

function summary(files: readonly SavedFile[]): string {
  let versions = 0;
  let size = 0;
  let missing = 0;
  for (const file of files) {
    versions += file.version;
    size += file.bytes;
    if (file.here === false) missing += file.bytes;
  }
  const several = versions > files.length ? `, ${count(versions)} versions` : "";
  const late = missing ? `, ${bytes(missing)} not here yet` : "";
  return `${count(files.length)} ${files.length === 1 ? "file" : "files"}${several}, ${bytes(size)}${late}`;
}
