import { useRef } from "preact/hooks";
import { type Loaded, useDocument } from "../api/useDocument";

/**
 * A document that stays while the one of another address is asked for, so that a table does not flash.
 *
 * @param of what the addresses have in common; with another value nothing stays
 */
export function useLatest<Document>(
  of: string,
  path: string | null,
  topics: readonly string[] = [],
): Loaded<Document> & { readonly isOld: boolean } {
  const loaded = useDocument<Document>(path, topics, { isExact: true });
  const latest = useRef<{ of: string; document: Document } | null>(null);
  if (loaded.document) latest.current = { of, document: loaded.document };
  const kept = path !== null && latest.current?.of === of ? latest.current.document : null;
  return { ...loaded, document: loaded.document ?? kept, isOld: !loaded.document && kept !== null };
}
