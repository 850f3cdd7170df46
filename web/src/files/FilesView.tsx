import { useEffect, useState } from "preact/hooks";
import { type RecordAddress, recordDocument } from "../api/addresses";
import { ask } from "../api/client";
import type { FilesDocument } from "../api/documents/files";
import { watch } from "../live/live";
import { ErrorNote } from "../ui/ErrorNote";
import { FilesPanel } from "./FilesPanel";

export interface FilesProps {
  readonly records: readonly RecordAddress[];
}

interface Loaded {
  readonly document: FilesDocument | null;
  readonly error: unknown;
}

/** The files of one record or of several, with previews. */
export function FilesView({ records }: FilesProps) {
  const [{ document, error }, setLoaded] = useState<Loaded>({ document: null, error: null });
  const key = records.map((record) => `${record.root ?? ""}:${record.prefix}`).join("\n");
  useEffect(() => {
    const stop = new AbortController();
    const load = () =>
      loadAll(records, stop.signal).then(
        (found) => setLoaded({ document: found, error: null }),
        (problem) => stop.signal.aborted || setLoaded((before) => ({ ...before, error: problem })),
      );
    load();
    const ends = records.map((record) => watch(`record:${record.prefix}`, { onChange: load }));
    return () => {
      stop.abort();
      for (const end of ends) end();
    };
  }, [key]);
  if (!document) return error ? <ErrorNote error={error} /> : null;
  return <FilesPanel files={document.files} />;
}

async function loadAll(records: readonly RecordAddress[], signal: AbortSignal): Promise<FilesDocument> {
  const found = await Promise.all(
    records.map(async (record) => {
      const { files } = await ask<FilesDocument>(recordDocument(record, "files"), { signal });
      return record.root ? files.map((file) => ({ ...file, root: record.root as string })) : files;
    }),
  );
  return { schema: "exp.files/1", files: found.flat() };
}
