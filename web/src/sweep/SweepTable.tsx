import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { navigate } from "../app/route";
import { StatusMark } from "../ui/StatusMark";
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
  readonly isSeveralExperiments: boolean;
  readonly caption: string;
  onSort(column: Column, isFurther: boolean): void;
  onLift(id: string | null): void;
  onPick(id: string | null): void;
}

const ROW = 28; // pixels; a row is measured once there is one
const ALL = 200; // rows that are drawn whether they are seen or not, so that the browser finds text in them
const MORE = 20; // rows that are drawn above and below those that are seen

/** The rows and values of `exp compare`; of more than 200 only those that are seen are drawn. */
export function SweepTable(props: SweepTableProps) {
  const { rows, kept, columns } = props;
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
  const best = bestOf(rows.slice(0, kept), columns, props.sort);
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
      const href = rows[focused]?.href;
      if (href) navigate(href);
    } else if (event.key === " " || event.key === "x") {
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
      aria-label={`${props.caption}. The arrows move, Enter opens, Space picks.`}
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
                  if (event.target instanceof Element && event.target.closest("a")) return;
                  if (getSelection()?.isCollapsed === false) return;
                  props.onPick(row.id === props.picked ? null : row.id);
                }}
              >
                <td class="sweep-rank">{index < kept ? index + 1 : ""}</td>
                <th scope="row" class="sweep-name mono" title={row.title}>
                  {row.href ? (
                    <a href={row.href} tabIndex={-1}>
                      <bdi>{row.label}</bdi>
                    </a>
                  ) : (
                    <bdi>{row.label}</bdi>
                  )}
                </th>
                <td>{row.status ? <StatusMark status={row.status} /> : <Statuses counts={row.counts} />}</td>
                <td class="sweep-best">
                  {row.id === best?.id ? "best" : best?.tied.has(row.id) ? <small>as good</small> : null}
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
        <bdi>{column.name}</bdi>
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
      {isNumber ? format(value) : <bdi class="is-text">{format(value)}</bdi>}
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

/** The first row by a metric, and those that are as good; none if the sort is by no metric. */
export function bestOf(
  rows: readonly Row[],
  columns: readonly Column[],
  sort: readonly SortKey[],
): { id: string; tied: ReadonlySet<string> } | null {
  const by = sort
    .map((key) => columns.find((column) => column.key === key.key))
    .filter((column): column is Column => column !== undefined);
  const [first] = by;
  if (first?.kind !== "metric") return null;
  const canWin = (row: Row) =>
    (row.status === null || row.status === "COMPLETED") && Number.isFinite(numeric(row.value(first)));
  const candidates = rows.filter(canWin);
  const [best] = candidates;
  if (!best) return null;
  const isAsGood = (row: Row) => by.every((column) => row.value(column) === best.value(column));
  return {
    id: best.id,
    tied: new Set(
      candidates
        .slice(1)
        .filter(isAsGood)
        .map((row) => row.id),
    ),
  };
}
