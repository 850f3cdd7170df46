import type { ComponentChildren, VNode } from "preact";
import { dayOf } from "./days";
import { marked } from "./marks";
import { SortHead } from "./SortHead";

export interface ListColumn {
  readonly title: string;
  /** What its cells are, for the styles: `column-age`; none for the name, which takes what is left. */
  readonly class?: string;
  /** The word of the order by it, if there is one. */
  readonly word?: string;
  /** Whether the largest come first. */
  readonly isDescending?: boolean;
}

/** What a row shows of the list that it is in. */
export interface RowState {
  readonly isPicked: boolean;
  /** Whether Tab stops here. */
  readonly isStop: boolean;
  readonly isMarked: boolean;
  readonly hasMarks: boolean;
}

export interface ListTableProps<Entry> {
  readonly class: string;
  /** Those after the status. */
  readonly columns: readonly ListColumn[];
  readonly sort: string;
  /** The order without one in the address. */
  readonly start: string;
  readonly entries: readonly Entry[];
  readonly picked: string | null;
  /** What names a row. */
  idOf(entry: Entry): string;
  /** When it began. */
  timeOf(entry: Entry): string | null;
  row(entry: Entry, state: RowState): VNode;
  /** Rows before all others. */
  readonly children?: ComponentChildren;
}

/** The table of a list: a head by which it is ordered, and the rows; by days where it is ordered by time. */
export function ListTable<Entry>(props: ListTableProps<Entry>) {
  const { sort, start, entries, idOf, picked } = props;
  const marks = marked();
  const first = picked ?? (entries[0] ? idOf(entries[0]) : null);
  const hasDays = sort.replace(/^-/, "") === start.replace(/^-/, "");
  return (
    <table class={props.class}>
      <colgroup>
        <col class="column-mark" />
        <col class="column-word" />
      </colgroup>
      <thead>
        <tr>
          <SortHead word="status" sort={sort} start={start} colSpan={2} class="column-status">
            Status
          </SortHead>
          {props.columns.map(({ title, word, ...others }) =>
            word ? (
              <SortHead key={title} word={word} sort={sort} start={start} {...others}>
                {title}
              </SortHead>
            ) : (
              <th key={title} class={others.class}>
                {title}
              </th>
            ),
          )}
        </tr>
      </thead>
      {props.children}
      {byDay(entries, hasDays ? props.timeOf : null).map((group) => (
        <tbody key={group.day ?? ""}>
          {group.day === null ? null : <GroupHead>{group.day}</GroupHead>}
          {group.entries.map((entry) => {
            const id = idOf(entry);
            return props.row(entry, {
              isPicked: id === picked,
              isStop: id === first,
              isMarked: marks.includes(id),
              hasMarks: marks.length > 0,
            });
          })}
        </tbody>
      ))}
    </table>
  );
}

/** What the rows below have in common. */
export function GroupHead({ children }: { children: ComponentChildren }) {
  return (
    <tr class="list-day">
      <th colSpan={3} scope="rowgroup">
        {children}
      </th>
    </tr>
  );
}

function byDay<Entry>(entries: readonly Entry[], timeOf: ((entry: Entry) => string | null) | null) {
  const today = new Date();
  const groups: { day: string | null; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const day = timeOf ? dayOf(timeOf(entry), today) : null;
    const last = groups.at(-1);
    if (last?.day === day) last.entries.push(entry);
    else groups.push({ day, entries: [entry] });
  }
  return groups;
}
