import { useMemo } from "preact/hooks";
import type { RecordAddress } from "../api/addresses";
import { navigate, withQuery } from "../app/route";
import { DiffLines } from "../ui/DiffLines";
import { textHunks } from "../ui/diffHunks";
import { decoded } from "./decoded";
import { Preview } from "./previews/Preview";
import { MOST_TEXT, previewKind, type SavedFile } from "./savedFiles";
import { useContent } from "./useContent";
import { VersionSlider } from "./VersionSlider";

export interface BesideProps {
  readonly record: RecordAddress;
  readonly file: SavedFile;
  readonly other: SavedFile;
  readonly versions: readonly SavedFile[];
}

/** Two versions of a file: images side by side, texts as what differs. */
export function Beside({ record, file, other, versions }: BesideProps) {
  const pick = (version: number) => navigate(withQuery({ beside: String(version) }), { replace: true });
  return (
    <>
      <VersionSlider versions={versions} file={other} label="Other version" onPick={pick} />
      {previewKind(file) === "image" ? (
        <div class="beside">
          {[other, file].map((each) => (
            <figure key={each.version}>
              <Preview record={record} file={each} />
              <figcaption>version {each.version}</figcaption>
            </figure>
          ))}
        </div>
      ) : (
        <TextDifference record={record} file={file} other={other} />
      )}
    </>
  );
}

function TextDifference({ record, file, other }: Omit<BesideProps, "versions">) {
  const range = { first: 0, end: MOST_TEXT };
  const before = useContent(record, other.checksum, range);
  const after = useContent(record, file.checksum, range);
  const texts = useMemo(
    () =>
      [before.content, after.content].map((each) =>
        each ? decoded(each.bytes, each.total > each.bytes.length) : null,
      ),
    [before.content, after.content],
  );
  const [old, now] = texts;
  const hunks = useMemo(() => (old != null && now != null ? textHunks(old, now) : null), [old, now]);
  if (before.error || after.error) return <Preview record={record} file={before.error ? other : file} />;
  if (!hunks) return <p class="data-panel-note">Loading…</p>;
  if (!hunks.length) {
    return (
      <p class="data-panel-note">
        Versions {other.version} and {file.version} are the same
        {isCut(before, after) ? " in their first megabyte" : ""}.
      </p>
    );
  }
  return (
    <>
      <p class="preview-note">
        From version {other.version} to {file.version}
        {isCut(before, after) ? ", of each the first megabyte" : ""}:
      </p>
      <DiffLines hunks={hunks} />
    </>
  );
}

function isCut(...loaded: ReturnType<typeof useContent>[]): boolean {
  return loaded.some(({ content }) => content && content.total > content.bytes.length);
}
