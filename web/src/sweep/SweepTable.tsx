import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { recordHref } from "../api/addresses";
import { type Key, useKeys } from "../app/keys";
import { navigate } from "../app/route";
import { marked, toggleMark } from "../lists/marks";
import { StatusMark } from "../ui/StatusMark";
import { visibleText } from "../ui/visibleText";
import { bestOf } from "./best";
import type { Column } from "./columns";
import type { SortKey } from "./request";
import type { Row } from "./rows";
import { areNumbers, formatOf, numeric, rounded, textOf } from "./values";
import "./SweepTable.css";

export interface SweepTableProps {
  /** In order, the first ones first; those that are left out follow. */
  readonly rows: readonly Row[];
  readonly kept: number;
  readonly columns: readonly Column[];
  readonly sort: readonly SortKey[];
  readonly lifted: string | null;
  readonly picked: string | null;
  /** The tasks whose search pruned them. */
  readonly pruned: ReadonlySet<string>;
  readonly isSeveralExperiments: boolean;
  readonly caption: string;
  onSort(column: Column, isFurther: boolean): void;
  onLift(id: string | null): void;
  onPick(id: string | null): void;
}

const ROW = 28; // pixels; a row is measured once there is one
const ALL = 200; // rows that are drawn whether they are seen or not, so that the browser finds text in them
/** For the help; the table takes them while it has the focus. */
const KEYS: readonly Key[] = [
  { keys: "j,ArrowDown", label: "next row", group: "Lists and tables", run: () => false },
  { keys: "k,ArrowUp", label: "previous row", group: "Lists and tables", run: () => false },
  { keys: "Enter", label: "open the row", group: "Lists and tables", run: () => false },
  { keys: "x", label: "mark the row for Compare", group: "Lists and tables", run: () => false },
  { keys: "Space", label: "pick the row", group: "Lists and tables", run: () => false },
];
const LONGEST_NAME = 45; // characters
const MORE = 20; // rows that are drawn above and below those that are seen

/** The rows and values of `exp compare`; of more than 200 only those that are seen are drawn. */
export function SweepTable(props: SweepTableProps) {
  const { rows, kept, columns } = props;
  useKeys(KEYS);
  const scroll = useRef<HTMLElement>(null);
  const [seen, setSeen] = useState<readonly [number, number]>([0, ALL]);
  const [focused, setFocused] = useState(0);
  const isAll = rows.length <= ALL;
  useEffect(() => {
    const shown = scroll.current;
    if (!shown || isAll) return;
    const measure = () => {
      const height = shown.querySelector("tr[data-row]")?.getBoundingClientRect().height || ROW;
      const first = Math.floor(shown.scrollTop / height);
      const from = Math.max(0, Math.floor((first - MORE) / MORE) * MORE);
      const to = from + Math.ceil(shown.clientHeight / height / MORE + 3) * MORE;
      setSeen((before) => (before[0] === from && before[1] === to ? before : [from, to]));
    };
    measure();
    shown.addEventListener("scroll", measure, { passive: true });
    return () => shown.removeEventListener("scroll", measure);
  }, [isAll, rows.length]);
  const formats = useMemo(
    () =>
      columns.map((column) => {
        const values = rows.map((row) => row.value(column));
        return { format: formatOf(values, column.kind === "metric"), isNumber: areNumbers(values) };
      }),
    [columns, rows],
  );
  const [from, to] = isAll
    ? [0, rows.length]
    : [Math.min(seen[0], rows.length), Math.min(seen[1], rows.length)];
  const marks = new Set(marked());
  const isPruned = (row: Row) => row.task !== null && props.pruned.has(row.task);
  const canWin = rows.slice(0, kept).filter((row) => !isPruned(row));
  const best = bestOf(canWin, columns, props.sort);
  const width = columns.length + (props.isSeveralExperiments ? 5 : 4);
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = destination(event.key, focused, rows.length);
    if (to !== null) {
      setFocused(to);
      props.onLift(rows[to]?.id ?? null);
      reveal(scroll.current, to);
      event.preventDefault();
    } else if (event.key === "Enter" && event.target === event.currentTarget) {
      const href = hrefOf(rows[focused]);
      if (href) navigate(href);
    } else if (event.key === "x") {
      const address = rows[focused]?.address;
      if (address) toggleMark(address.prefix);
      event.preventDefault();
    } else if (event.key === " ") {
      const id = rows[focused]?.id ?? null;
      props.onPick(id === props.picked ? null : id);
      event.preventDefault();
    } else if (event.key === "Escape") props.onPick(null);
  };
  return (
    <section
      class="sweep-scroll"
      ref={scroll}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and its rows are one tab stop
      tabIndex={0}
      aria-label={`${props.caption}. The arrows move, Enter opens, Space picks, x marks.`}
      onKeyDown={press}
      onMouseLeave={() => props.onLift(null)}
    >
      <table class="sweep-table" aria-rowcount={rows.length + 1}>
        <caption class="visually-hidden">{props.caption}</caption>
        <thead>
          <tr>
            <th scope="col" class="sweep-rank">
              #
            </th>
            <th scope="col" class="sweep-name">
              Record
            </th>
            <th scope="col">
              <span class="visually-hidden">Status</span>
            </th>
            <th scope="col">
              <span class="visually-hidden">Best</span>
            </th>
            {props.isSeveralExperiments ? <th scope="col">Experiment</th> : null}
            {columns.map((column, index) => (
              <Head
                key={column.key}
                column={column}
                isNumber={formats[index]?.isNumber ?? false}
                {...props}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 ? <Space height={from * ROW} width={width} /> : null}
          {rows.slice(from, to).map((row, offset) => {
            const index = from + offset;
            return (
              <tr
                key={row.id}
                data-row={index}
                aria-rowindex={index + 2}
                aria-selected={row.id === props.picked}
                class={`${row.id === props.lifted ? "is-lifted" : ""} ${index >= kept ? "is-left-out" : ""}`}
                onMouseEnter={() => props.onLift(row.id)}
                onClick={(event) => {
                  setFocused(index);
                  if (event.target instanceof Element && event.target.closest("a, input")) return;
                  if (getSelection()?.isCollapsed === false) return;
                  props.onPick(row.id === props.picked ? null : row.id);
                }}
              >
                <td class="sweep-rank">
                  {row.address ? (
                    <Mark prefix={row.address.prefix} isMarked={marks.has(row.address.prefix)} />
                  ) : null}
                  <span>{index < kept ? index + 1 : ""}</span>
                </td>
                <th scope="row" class="sweep-name mono" title={row.title}>
                  {row.status ? (
                    <a href={hrefOf(row) ?? ""} tabIndex={-1}>
                      <bdi>{middleless(visibleText(row.label))}</bdi>
                    </a>
                  ) : (
                    <bdi>{middleless(visibleText(row.label))}</bdi>
                  )}
                </th>
                <td>
                  {row.status ? (
                    <StatusMark
                      status={isPruned(row) ? "SUCCEEDED" : row.status}
                      reason={isPruned(row) ? "pruned" : null}
                    />
                  ) : (
                    <Statuses counts={row.counts} />
                  )}
                </td>
                <td class="sweep-best">
                  {row.id === best?.id ? (
                    "best"
                  ) : best?.tied.has(row.id) ? (
                    <small>as good</small>
                  ) : isPruned(row) ? (
                    <small>pruned</small>
                  ) : null}
                </td>
                {props.isSeveralExperiments ? <td dir="auto">{row.experiment ?? ""}</td> : null}
                {columns.map((column, at) => (
                  <Cell
                    key={column.key}
                    row={row}
                    column={column}
                    format={formats[at]?.format ?? textOf}
                    isNumber={formats[at]?.isNumber ?? false}
                    isSorted={props.sort[0]?.key === column.key}
                  />
                ))}
              </tr>
            );
          })}
          {to < rows.length ? <Space height={(rows.length - to) * ROW} width={width} /> : null}
        </tbody>
      </table>
    </section>
  );
}

/** Marks a row for Compare: in place of its number while the pointer is on the row, and while it is marked. */
function Mark({ prefix, isMarked }: { prefix: string; isMarked: boolean }) {
  return (
    <input
      type="checkbox"
      class="sweep-mark"
      tabIndex={-1}
      aria-label={`Mark ${prefix.split("/").at(-1)} for Compare`}
      title="Mark for Compare (x)"
      checked={isMarked}
      onChange={() => toggleMark(prefix)}
    />
  );
}

/** A name that is too long without its middle: members differ at their ends. */
function middleless(name: string): string {
  return name.length > LONGEST_NAME
    ? `${name.slice(0, LONGEST_NAME / 3)}…${name.slice((-LONGEST_NAME * 2) / 3)}`
    : name;
}

/** The page of a record; a group has none. */
export function hrefOf(row: Row | null | undefined): string | null {
  return row?.address ? recordHref(row.address) : null;
}

function Space({ height, width }: { height: number; width: number }) {
  return (
    <tr class="sweep-space">
      <td colSpan={width} style={{ height: `${height}px` }} />
    </tr>
  );
}

function destination(key: string, from: number, count: number): number | null {
  const steps: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 20, PageUp: -20 };
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const by = steps[key];
  return by === undefined ? null : Math.min(count - 1, Math.max(0, from + by));
}

function reveal(scroll: HTMLElement | null, index: number): void {
  const row = scroll?.querySelector(`tr[data-row="${index}"]`);
  if (row) row.scrollIntoView({ block: "nearest" });
  else if (scroll) scroll.scrollTop = index * ROW;
}

interface HeadProps extends SweepTableProps {
  readonly column: Column;
  readonly isNumber: boolean;
}

function Head({ column, isNumber, sort, onSort }: HeadProps) {
  const at = sort.findIndex((each) => each.key === column.key);
  const direction = sort[at]?.isDescending ? "descending" : "ascending";
  return (
    <th
      scope="col"
      class={isNumber ? "is-number" : ""}
      aria-sort={at === 0 ? direction : undefined}
      title={`${column.key}\nPress to sort`}
    >
      <button type="button" onClick={(event) => onSort(column, event.shiftKey)}>
        <bdi>{visibleText(column.name)}</bdi>
        {column.fn ? <small>{column.fn}</small> : null}
        {at >= 0 ? (
          <span aria-hidden="true">
            {direction === "descending" ? "↓" : "↑"}
            {at > 0 ? at + 1 : ""}
          </span>
        ) : null}
      </button>
    </th>
  );
}

interface CellProps {
  readonly row: Row;
  readonly column: Column;
  readonly format: (value: unknown) => string;
  readonly isNumber: boolean;
  readonly isSorted: boolean;
}

function Cell({ row, column, format, isNumber, isSorted }: CellProps) {
  const value = row.value(column);
  const spread = row.spread(column);
  const classes = `${isNumber ? "is-number" : ""} ${isSorted ? "is-sorted" : ""}`;
  if (value === undefined) {
    return (
      <td class={`${classes} is-missing`} title={`no value of ${column.key}`}>
        –
      </td>
    );
  }
  const isPlain = column.kind === "param" || Number.isFinite(numeric(value));
  const left = row.notNumbers(column);
  const notes = [
    textOf(value),
    ...(spread?.std === undefined ? [] : [`± ${spread?.std}`]),
    ...(spread ? [`of ${spread.n} values`] : []),
    ...(spread?.missing ? [`${spread.missing} have none`] : []),
    ...(left ? [spread ? `${left} are not finite` : `${left} NaN are not counted`] : []),
  ];
  return (
    <td class={`${classes} ${isPlain ? "" : "is-not-finite"}`} title={notes.join("\n")}>
      {isNumber ? format(value) : <bdi class="is-text">{visibleText(format(value))}</bdi>}
      {spread?.std !== undefined ? <span class="sweep-spread"> ±{rounded(spread.std, 2)}</span> : null}
      {spread && (spread.missing || spread.notFinite) ? (
        <span class="sweep-spread"> n={spread.n}</span>
      ) : null}
    </td>
  );
}

function Statuses({ counts }: { counts: Readonly<Record<string, number>> }) {
  return (
    <>
      {Object.entries(counts).map(([status, count]) => (
        <span key={status} class="sweep-statuses">
          <StatusMark status={status} />
          {count}
        </span>
      ))}
    </>
  );
}
