import { useEffect, useState } from "preact/hooks";
import { experimentName } from "../api/addresses";
import { ask } from "../api/client";
import type { ListDocument } from "../api/documents/list";
import type { RecordsDocument } from "../api/documents/records";
import { ErrorNote } from "../ui/ErrorNote";
import { StatusMark } from "../ui/StatusMark";

interface Found {
  readonly kind: "experiment" | "record";
  readonly value: string;
  readonly text: string;
  readonly status: string;
}

const MOST = 6; // of each kind
const PAUSE = 150; // milliseconds after the last letter
const GLOB = /[*?[]|\/$/;

/** A field that finds experiments and records; Enter takes a prefix or glob as it is. */
export function CompareSearch({ onAdd }: { onAdd(name: string, value: string): void }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<readonly Found[]>([]);
  const [problem, setProblem] = useState<unknown>(null);
  const asked = text.trim();
  const isGlob = GLOB.test(asked);
  useEffect(() => {
    setProblem(null);
    if (!asked || isGlob) {
      setFound([]);
      return;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      search(asked, stop.signal).then(setFound, (error) => {
        if (!stop.signal.aborted) setProblem(error);
      });
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [asked, isGlob]);
  const add = (name: string, value: string) => {
    setText("");
    setFound([]);
    onAdd(name, value);
  };
  return (
    <form
      class="compare-find"
      onSubmit={(event) => {
        event.preventDefault();
        const [first] = found;
        if (isGlob || (asked && !first)) add("prefix", asked);
        else if (first) add(first.kind, first.value);
      }}
    >
      <input
        type="search"
        aria-label="Add an experiment, a record or a prefix"
        placeholder="Add an experiment, a record, or a prefix such as alice/study/*"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") setText("");
        }}
      />
      {asked ? (
        <div class="compare-found">
          {found.map((each) => (
            <button key={each.kind + each.value} type="button" onClick={() => add(each.kind, each.value)}>
              <StatusMark status={each.status} />
              <bdi>{each.text}</bdi>
              <small>{each.kind}</small>
            </button>
          ))}
          <button type="button" onClick={() => add("prefix", asked)}>
            <bdi>{asked}</bdi>
            <small>all records below this prefix</small>
          </button>
        </div>
      ) : null}
      {problem ? <ErrorNote error={problem} /> : null}
    </form>
  );
}

async function search(text: string, signal: AbortSignal): Promise<Found[]> {
  const query = new URLSearchParams({ text, limit: String(MOST) });
  const [experiments, records] = await Promise.all([
    ask<ListDocument>(`/v1/views/experiments?${query}`, { signal }),
    ask<RecordsDocument>(`/v1/views/records?${query}`, { signal }),
  ]);
  return [
    ...experiments.experiments.map(({ owner = "", home = "", id, status }) => ({
      kind: "experiment" as const,
      value: experimentName({ owner, home, id }),
      text: id,
      status: status ?? "UNKNOWN",
    })),
    ...records.records.map(({ prefix, status }) => ({
      kind: "record" as const,
      value: prefix,
      text: prefix,
      status,
    })),
  ];
}
