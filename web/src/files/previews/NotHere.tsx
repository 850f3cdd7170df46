import { RequestError } from "../../api/client";
import { ErrorNote } from "../../ui/ErrorNote";
import { bytes } from "../../ui/format";
import type { SavedFile } from "../savedFiles";

/** A content that has not arrived. */
export function NotHere({ file }: { file: SavedFile }) {
  return (
    <p class="data-panel-note preview-not-here">
      Not here yet, {bytes(file.bytes)} to go. The machine that saved it sends it:{" "}
      <code>exp sync --status</code> there says how far it is. If this machine saved it, it was removed.
    </p>
  );
}

/** Why a content cannot be shown: it has not arrived, or the request failed. */
export function ContentProblem({ file, error }: { file: SavedFile; error: unknown }) {
  const isLate = error instanceof RequestError && error.code === "not_here_yet";
  return isLate ? <NotHere file={file} /> : <ErrorNote error={error} />;
}
