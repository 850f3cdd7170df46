import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { route } from "../app/route";
import { CommandHint } from "../ui/CommandHint";
import { ErrorNote } from "../ui/ErrorNote";
import { FilterChips } from "../ui/FilterChips";
import { count } from "../ui/format";
import { conditionsOf, type FilterWord } from "./conditions";
import { compareHref, marked, withoutMarks } from "./marks";
import { PageRange, Pager } from "./Pager";
import { StatusSegments } from "./StatusSegments";
import "./ListFrame.css";

/** What the documents of both lists say of the list. */
export interface ListPage {
  readonly total?: number;
  readonly statuses?: Readonly<Record<string, number>>;
  readonly offset?: number;
  readonly previous?: string | null;
  readonly next?: string | null;
}

export interface FrameProps {
  readonly title: string;
  readonly sentence: string;
  /** The command with the same conditions; null if there is none. */
  readonly command: string | null;
  readonly words: readonly FilterWord[];
  /** Words whose conditions something else shows. */
  readonly hidden?: readonly string[];
  readonly statuses: readonly string[];
  readonly document: ListPage;
  readonly shown: number;
  /** The order in words. */
  readonly sort: string;
  readonly pages: readonly [string, string];
  readonly markKind: "experiment" | "record";
  /** Whether the rows are those of the former conditions. */
  readonly isFormer: boolean;
  readonly error: unknown;
  /** Between the conditions and the list. */
  readonly above?: ComponentChildren;
  /** Beside the list, where there is room. */
  readonly aside: ComponentChildren;
  readonly children: ComponentChildren;
}

/** The head, the conditions and the foot of a list, around its table. */
export function ListFrame(props: FrameProps) {
  const { document, words } = props;
  const picked = route.value.query.getAll("status");
  const hidden = [...(props.hidden ?? []), ...(picked.length > 1 ? [] : ["status"])];
  return (
    <div class={`list-frame${props.aside ? " list-frame-wide" : ""}`}>
      <header class="list-head">
        <h1>{props.title}</h1>
        <p class="list-sentence">{props.sentence}</p>
        <FilterSheet words={words} />
        {props.command === null ? null : <CommandHint command={props.command} />}
      </header>
      <div class="list-conditions">
        <StatusSegments statuses={props.statuses} counts={document.statuses ?? {}} picked={picked} />
        <span class="list-rule" />
        <FilterChips words={words} hidden={hidden} />
        <span class="list-sort">{props.sort}</span>
      </div>
      {props.above}
      {props.error ? <ErrorNote error={props.error} /> : null}
      <div class="list-columns">
        <div class="list-table" aria-busy={props.isFormer}>
          {props.children}
        </div>
        {props.aside ? <aside class="list-aside">{props.aside}</aside> : null}
      </div>
      <footer class="list-foot">
        <PageRange offset={document.offset ?? 0} shown={props.shown} total={document.total ?? props.shown} />
        <Marks kind={props.markKind} />
        <span class="list-keys" aria-hidden="true">
          <kbd>j</kbd> <kbd>k</kbd> rows <kbd>Enter</kbd> open <kbd>x</kbd> mark <kbd>?</kbd> all keys
        </span>
        {/* The cursors of the former conditions lead nowhere in the list of these. */}
        <Pager
          previous={props.isFormer ? null : (document.previous ?? null)}
          next={props.isFormer ? null : (document.next ?? null)}
          words={props.pages}
        />
      </footer>
    </div>
  );
}

function Marks({ kind }: { kind: FrameProps["markKind"] }) {
  const marks = marked();
  if (!marks.length) return null;
  return (
    <span class="list-marks">
      {count(marks.length)} marked
      <a class="button small main" href={compareHref(kind)}>
        Compare
      </a>
      <a class="button small" href={withoutMarks()}>
        Clear
      </a>
    </span>
  );
}

/** The conditions in a sheet, where the screen is narrow. */
function FilterSheet({ words }: { words: readonly FilterWord[] }) {
  const [isOpen, setOpen] = useState(false);
  const sheet = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isOpen) sheet.current?.showModal();
  }, [isOpen]);
  const number = conditionsOf(
    route.value.query,
    words.map(({ word }) => word),
  ).length;
  return (
    <>
      <button type="button" class="button small list-filter" onClick={() => setOpen(true)}>
        Filter{number ? ` · ${number}` : ""}
      </button>
      {isOpen ? (
        <dialog ref={sheet} class="list-sheet" aria-label="Filter" onClose={() => setOpen(false)}>
          <h2>Filter</h2>
          <FilterChips words={words} />
          <form method="dialog">
            <button type="submit" class="button main">
              Done
            </button>
          </form>
        </dialog>
      ) : null}
    </>
  );
}
