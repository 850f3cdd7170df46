import { useEffect, useState } from "preact/hooks";
import type { RecordAddress } from "../api/addresses";
import { type ByteRange, type Content, contentOf } from "./savedFiles";

export interface LoadedContent {
  /** The content that was loaded last; that of another file stays until this one is there. */
  readonly content: Content | null;
  /** Of which checksum it is. */
  readonly checksum: string | null;
  readonly error: unknown;
}

/** A content, or a range of it; null for none yet. */
export function useContent(record: RecordAddress, checksum: string | null, range?: ByteRange): LoadedContent {
  const [state, setState] = useState<LoadedContent>({ content: null, checksum: null, error: null });
  const { prefix, root } = record;
  const first = range?.first;
  const end = range?.end;
  useEffect(() => {
    if (checksum === null) return;
    let isCurrent = true;
    const address = root ? { prefix, root } : { prefix };
    const asked = first === undefined || end === undefined ? undefined : { first, end };
    contentOf(address, checksum, asked).then(
      (content) => {
        if (isCurrent) setState({ content, checksum, error: null });
      },
      (error) => {
        if (isCurrent) setState({ content: null, checksum, error });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [prefix, root, checksum, first, end]);
  return state;
}
