import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/Icon";
import { StatusMark } from "../ui/StatusMark";
import { useKeys } from "./keys";
import { navigate } from "./route";
import { type Hit, search } from "./search";
import "./SearchField.css";

const PAUSE = 150; // milliseconds without a key before the server is asked

interface Found {
  readonly text: string;
  readonly hits: readonly Hit[];
  readonly problem: string | null;
}

/** Finds experiments, tasks, records and tags, and goes to the picked one. */
export function SearchField() {
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const [isOpen, setOpen] = useState(false);
  const [picked, setPicked] = useState(0);
  const found = useFound(text.trim());
  const hits = found?.hits ?? [];
  const leave = () => {
    setText("");
    setOpen(false);
    field.current?.blur();
  };
  const go = (hit: Hit | undefined) => {
    if (!hit) return;
    navigate(hit.href);
    leave();
  };
  useKeys([
    {
      keys: "/",
      label: "search",
      group: "Anywhere",
      run: () => {
        setOpen(true);
        field.current?.focus();
        field.current?.select();
      },
    },
  ]);
  useEffect(() => setPicked(0), [found]);
  const press = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = moves[event.key];
    if (step && hits.length) setPicked((picked + step + hits.length) % hits.length);
    else if (event.key === "Enter" && found?.text === text.trim()) go(hits[picked]);
    else if (event.key === "Escape") leave();
    else return;
    event.preventDefault();
  };
  const isListed = isOpen && found !== null;
  return (
    <search
      class={isOpen ? "search is-open" : "search"}
      onFocusOut={(event) => {
        const next = event.relatedTarget;
        if (!(next instanceof Node && event.currentTarget.contains(next))) setOpen(false);
      }}
    >
      <button
        type="button"
        class="search-button icon-button"
        aria-label="Search"
        onClick={() => {
          setOpen(true);
          setTimeout(() => field.current?.focus());
        }}
      >
        <Icon name="search" />
      </button>
      <label class="search-field">
        <Icon name="search" size={14} />
        <input
          ref={field}
          type="search"
          list={undefined}
          placeholder="Experiment, task, record, tag"
          aria-label="Search experiments, tasks, records and tags"
          // biome-ignore lint/a11y/noRedundantRoles: without a list of the browser's, it has another role
          role="combobox"
          aria-expanded={isListed}
          aria-controls="search-hits"
          aria-autocomplete="list"
          aria-activedescendant={isListed && hits.length ? `search-hit-${picked}` : undefined}
          autocomplete="off"
          spellcheck={false}
          maxLength={200}
          value={text}
          onFocus={() => setOpen(true)}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={press}
        />
        <kbd>/</kbd>
      </label>
      {isListed ? (
        <div class="search-hits">
          <Hits hits={hits} picked={picked} onGo={go} />
          {hits.length ? null : (
            <p class="search-none">{found.problem ?? "Nothing has that in its name or tags."}</p>
          )}
        </div>
      ) : null}
    </search>
  );
}

function Hits({ hits, picked, onGo }: { hits: readonly Hit[]; picked: number; onGo: (hit: Hit) => void }) {
  return (
    <div id="search-hits" role="listbox" aria-label="What was found">
      {hits.map((hit, index) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys of the list
        <div
          key={hit.key}
          id={`search-hit-${index}`}
          role="option"
          tabIndex={-1}
          class="search-hit"
          aria-selected={index === picked}
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onGo(hit)}
          ref={(row) => {
            if (index === picked) row?.scrollIntoView({ block: "nearest" });
          }}
        >
          <span class="search-kind">{hits[index - 1]?.kind === hit.kind ? "" : hit.kind}</span>
          <span class="search-mark">{hit.status ? <StatusMark status={hit.status} /> : null}</span>
          <bdi class="search-name">{hit.name}</bdi>
          <bdi class="search-second">{hit.second}</bdi>
        </div>
      ))}
    </div>
  );
}

/** What a text finds; that of the former text stays until it is there. */
function useFound(text: string): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  useEffect(() => {
    if (!text) {
      setFound(null);
      return;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      search(text, stop.signal).then(
        (hits) => setFound({ text, hits, problem: null }),
        (error: Error) => stop.signal.aborted || setFound({ text, hits: [], problem: error.message }),
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  return text ? found : null;
}
