import { useMemo } from "preact/hooks";
import { recordDocument } from "../api/addresses";
import type { EnvironmentDocument } from "../api/documents/environment";
import { useDocument } from "../api/useDocument";
import { route } from "../app/route";
import { CopyButton } from "../ui/CopyButton";
import { DiffLines } from "../ui/DiffLines";
import { type FileDiff, parseUnifiedDiff } from "../ui/diffHunks";
import { ErrorNote } from "../ui/ErrorNote";
import { count } from "../ui/format";
import { Panel } from "../ui/Panel";
import { visibleText } from "../ui/visibleText";
import { OpeningPicker, openingNames } from "./RecordEnvironment";
import type { RecordTabProps } from "./recordTabs";
import "./RecordGitDiff.css";

const MOST_LINES = 5_000;

/** What was not committed when an opening began, by files. */
export function RecordGitDiff({ record, view }: RecordTabProps) {
  const { document, error, reload } = useDocument<EnvironmentDocument>(
    recordDocument(record, "environment"),
    [`record:${record.prefix}`],
  );
  if (!document) return error ? <ErrorNote error={error} retry={reload} /> : null;
  const { openings } = document;
  const asked = route.value.query.get("opening");
  const picked = openings.find((each) => each.id === asked) ?? openings.at(-1);
  if (!picked) return <p class="panel-note">No opening recorded its repository.</p>;
  const git = picked.git as { commit?: string; branch?: string } | null;
  return (
    <>
      <OpeningPicker openings={openings} names={openingNames(view)} picked={picked} />
      {picked.diff ? (
        <Diff text={picked.diff} git={git} />
      ) : (
        <Panel title="Git diff" about={commitFact(git)}>
          <p class="panel-note">
            {git ? "No uncommitted changes were recorded." : "It ran outside of a repository."} Changes are
            recorded if <code>git diff HEAD</code> finishes in time and has up to 10 MB; files that git does
            not track are never in it.
          </p>
        </Panel>
      )}
    </>
  );
}

function commitFact(git: { commit?: string; branch?: string } | null): string | null {
  if (!git?.commit) return null;
  return `on ${git.commit.slice(0, 8)}${git.branch ? `, branch ${visibleText(git.branch)}` : ""}`;
}

function Diff({ text, git }: { text: string; git: { commit?: string; branch?: string } | null }) {
  const files = useMemo(() => parseUnifiedDiff(text), [text]);
  const total = (of: (file: FileDiff) => number) => files.reduce((sum, file) => sum + of(file), 0);
  const summary = `${count(files.length)} ${files.length === 1 ? "file" : "files"}, +${count(
    total((file) => file.added),
  )} −${count(total((file) => file.removed))}`;
  const commit = commitFact(git);
  return (
    <Panel
      title="Git diff"
      about={commit ? `${summary}, ${commit}` : summary}
      tools={<CopyButton text={text} label="Copy the diff" />}
    >
      {files.length ? (
        files.map((file) => (
          <OneFile key={file.name} file={file} isOpen={total((each) => size(each)) < MOST_LINES} />
        ))
      ) : (
        <pre class="record-diff-text">{visibleText(text)}</pre>
      )}
    </Panel>
  );
}

function size(file: FileDiff): number {
  return file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
}

function OneFile({ file, isOpen }: { file: FileDiff; isOpen: boolean }) {
  return (
    <details class="record-diff-file" open={isOpen}>
      <summary>
        <bdi class="mono">{visibleText(file.name)}</bdi>
        <span>
          {file.from ? `from ${visibleText(file.from)} ` : ""}
          {file.notes.join(", ")} {file.hunks.length ? `+${count(file.added)} −${count(file.removed)}` : ""}
        </span>
      </summary>
      <DiffLines hunks={file.hunks} />
    </details>
  );
}
