import { useState } from "preact/hooks";
import { type RecordAddress, recordDocument } from "../api/addresses";
import type { FilesDocument } from "../api/documents/files";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { CopyButton } from "../ui/CopyButton";
import { Fact } from "../ui/DataPanel";
import { ErrorNote } from "../ui/ErrorNote";
import { type Json, jsonText } from "../ui/exactJson";
import { absolute, age, bytes, count } from "../ui/format";
import { LongText } from "../ui/LongText";
import { commandLine } from "../ui/quoting";
import { visibleText } from "../ui/visibleText";
import { Beside } from "./Beside";
import { Preview } from "./previews/Preview";
import { download, previewKind, type SavedFile } from "./savedFiles";
import { VersionSlider } from "./VersionSlider";
import "./FilePreview.css";

export interface FilePreviewProps {
  readonly record: RecordAddress;
  /** The latest version. */
  readonly file: SavedFile;
}

/** A file: the picked version as what it is, what is known of it, and its other versions. */
export function FilePreview({ record, file: latest }: FilePreviewProps) {
  const [size, setSize] = useState<{ checksum: string; text: string } | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const versions = useVersions(record, latest);
  const query = route.value.query;
  const file =
    versionOf(versions, query.get("version")) ?? versionOf(versions, String(latest.version)) ?? latest;
  const other = versionOf(versions, query.get("beside"));
  const pick = (version: number) =>
    navigate(withQuery({ version: version === latest.version ? null : String(version) }), { replace: true });
  const canCompare = versions.length > 1 && ["image", "text", "json", "table"].includes(previewKind(file));
  const previous = versions[versions.indexOf(file) - 1] ?? versions[versions.indexOf(file) + 1];
  return (
    <div class={`file-preview${other ? " file-preview-beside" : ""}`}>
      <div class="file-preview-content">
        {other ? (
          <Beside record={record} file={file} other={other} versions={versions} />
        ) : (
          <Preview
            record={record}
            file={file}
            onSize={(text) => setSize({ checksum: file.checksum, text })}
          />
        )}
      </div>
      <div class="file-preview-facts">
        <h3 class="mono" dir="auto">
          {visibleText(file.name)}
        </h3>
        {versions.length > 1 ? (
          <VersionSlider versions={versions} file={file} label="Version" onPick={pick} />
        ) : null}
        <dl>
          <Fact name="Type">
            <LongText text={file.type} most={100} />
            {size?.checksum === file.checksum ? `, ${size.text}` : ""}
          </Fact>
          <Fact name="Size">{count(file.bytes)} bytes</Fact>
          <Fact name="SHA-256">
            <span class="mono" title={file.checksum}>
              {file.checksum.slice(0, 8)}…{file.checksum.slice(-4)}
            </span>{" "}
            <CopyButton text={file.checksum} label="Copy the SHA-256" />
          </Fact>
          <Fact name="Saved">
            <span title={absolute(file.saved)}>{age(file.saved)} ago</span>
          </Fact>
          {file.tags.length ? (
            <Fact name="Tags">
              <LongText text={file.tags.join(", ")} most={200} />
            </Fact>
          ) : null}
          {file.bindrs.length ? (
            <Fact name="Bindrs">
              <LongText text={file.bindrs.join(", ")} most={200} />
            </Fact>
          ) : null}
          {file.description ? (
            <Fact name="About">
              <LongText text={file.description} />
            </Fact>
          ) : null}
          {Object.entries((file.metadata ?? {}) as Record<string, Json>).map(([name, value]) => (
            <Fact key={name} name={visibleText(name)}>
              <span class="mono">
                <LongText text={jsonText(value)} />
              </span>
            </Fact>
          ))}
        </dl>
        <div class="file-preview-actions">
          <button
            type="button"
            class="button small"
            disabled={file.here === false}
            onClick={() => download(record, file).then(() => setProblem(null), setProblem)}
          >
            Download <span class="file-preview-size">{bytes(file.bytes)}</span>
          </button>
          {canCompare && previous ? (
            <a class="button small" href={withQuery({ beside: other ? null : String(previous.version) })}>
              {other ? "One version" : "Beside another version"}
            </a>
          ) : null}
        </div>
        {problem ? <ErrorNote error={problem} /> : null}
        <CommandHint command={command(record, file, latest)} />
      </div>
    </div>
  );
}

function useVersions(record: RecordAddress, latest: SavedFile): readonly SavedFile[] {
  const path = recordDocument(record, "files", { name: latest.name, versions: "1" });
  const hasSeveral = latest.version > 1;
  const topics = hasSeveral ? [`record:${record.prefix}`] : [];
  const { document } = useDocument<FilesDocument>(hasSeveral ? path : null, topics);
  const found = document?.files.filter((file) => file.name === latest.name) ?? [];
  return found.length ? found : [latest];
}

function versionOf(versions: readonly SavedFile[], text: string | null): SavedFile | undefined {
  return text === null ? undefined : versions.find((file) => String(file.version) === text);
}

function command(record: RecordAddress, file: SavedFile, latest: SavedFile): string {
  const target =
    file.experiment && file.task
      ? [file.experiment, file.task]
      : [record.prefix, "--dash-root", file.dash_root];
  const version = file.version === latest.version ? [] : ["--version", String(file.version)];
  return commandLine("exp", "files", ...target, "--name", file.name, ...version, "--path");
}
