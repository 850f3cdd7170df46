import { useEffect, useState } from "preact/hooks";
import { watch } from "../live/live";
import { ask } from "./client";

export interface Loaded<Document> {
  /** The latest document; it stays while a newer one is asked for, and when that fails. */
  readonly document: Document | null;
  readonly error: unknown;
  reload(): void;
}

/**
 * The document at an address, which is asked for again whenever one of the topics changes.
 *
 * @param path its address on the server; null for none yet
 * @param topics of the live stream, such as `experiments` or `experiment:OWNER/HOME/ID`
 */
export function useDocument<Document>(path: string | null, topics: readonly string[] = []): Loaded<Document> {
  const [state, setState] = useState<{ path: string | null; document: Document | null; error: unknown }>({
    path: null,
    document: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  const watched = topics.join("\n");
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    let isAsking = false;
    let isChanged = false;
    const load = async () => {
      if (isAsking) {
        isChanged = true;
        return;
      }
      isAsking = true;
      try {
        const document = await ask<Document>(path, { signal: stop.signal });
        setState({ path, document, error: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        setState((before) => ({ path, document: before.path === path ? before.document : null, error }));
      }
      isAsking = false;
      if (isChanged) {
        isChanged = false;
        load();
      }
    };
    load();
    const ends = watched ? watched.split("\n").map((topic) => watch(topic, { onChange: load })) : [];
    return () => {
      stop.abort();
      for (const end of ends) end();
    };
  }, [path, watched, round]);
  const isCurrent = state.path === path;
  return {
    document: isCurrent ? state.document : null,
    error: isCurrent ? state.error : null,
    reload: () => setRound((before) => before + 1),
  };
}
