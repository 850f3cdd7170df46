import { useState } from "preact/hooks";
import { type RecordAddress, recordDocument } from "../api/addresses";
import type { FilesDocument } from "../api/documents/files";
import { useDocument } from "../api/useDocument";
import { withQuery } from "../app/route";
import { Preview } from "../files/previews/Preview";
import { previewKind, type SavedFile } from "../files/savedFiles";
import { VersionSlider } from "../files/VersionSlider";
import { count } from "../ui/format";
import { Panel } from "../ui/Panel";
import { visibleText } from "../ui/visibleText";

const MOST = 24;

/** The images that the record saved, each with a slider over its versions. */
export function LoggedImages({ record }: { record: RecordAddress }) {
  const { document } = useDocument<FilesDocument>(recordDocument(record, "files", { versions: "1" }), [
    `record:${record.prefix}`,
  ]);
  const images = imagesOf(document?.files ?? []);
  if (!images.length) return null;
  return (
    <Panel
      title="Images"
      about={images.length > MOST ? `the first ${MOST} of ${count(images.length)}` : count(images.length)}
    >
      <div class="logged-images">
        {images.slice(0, MOST).map((versions) => (
          <OneImage key={versions[0]?.name ?? ""} record={record} versions={versions} />
        ))}
      </div>
    </Panel>
  );
}

function imagesOf(files: readonly SavedFile[]): SavedFile[][] {
  const byName = new Map<string, SavedFile[]>();
  for (const file of files) {
    if (previewKind(file) === "image") byName.set(file.name, [...(byName.get(file.name) ?? []), file]);
  }
  return [...byName.values()];
}

function OneImage({ record, versions }: { record: RecordAddress; versions: readonly SavedFile[] }) {
  const [picked, setPicked] = useState<number | null>(null);
  const file = versions.find((each) => each.version === picked) ?? versions.at(-1);
  if (!file) return null;
  return (
    <figure>
      <figcaption>
        <a class="link" href={withQuery({ tab: "files", file: file.name, version: String(file.version) })}>
          {visibleText(file.name)}
        </a>
      </figcaption>
      <Preview record={record} file={file} />
      {versions.length > 1 ? (
        <VersionSlider versions={versions} file={file} label="Version" onPick={setPicked} />
      ) : null}
    </figure>
  );
}
