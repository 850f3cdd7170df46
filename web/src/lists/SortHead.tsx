import type { ComponentChildren } from "preact";
import { withQuery } from "../app/route";

/** The order in the address: a word, with `-` in front for the largest first. */
export function sortOf(query: URLSearchParams, start: string): string {
  return query.get("sort") || start;
}

/** The order in words, from the ascending and the descending one of each. */
export function sortText(sort: string, texts: Readonly<Record<string, readonly [string, string]>>): string {
  const isReversed = sort.startsWith("-");
  return texts[isReversed ? sort.slice(1) : sort]?.[isReversed ? 1 : 0] ?? "";
}

export interface SortHeadProps {
  readonly word: string;
  readonly sort: string;
  /** The order without one in the address. */
  readonly start: string;
  /** Whether the largest come first, once somebody asks for this order. */
  readonly isDescending?: boolean;
  readonly class?: string;
  readonly colSpan?: number;
  readonly children: ComponentChildren;
}

/** The head of a column that the list can be ordered by: a link to that order, or to its reverse. */
export function SortHead(props: SortHeadProps) {
  const { word, sort, start, isDescending = false, children } = props;
  const isPicked = sort === word || sort === `-${word}`;
  const isReversed = sort === `-${word}`;
  const following = isPicked ? (isReversed ? word : `-${word}`) : isDescending ? `-${word}` : word;
  const order = isPicked ? (isReversed ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" class={props.class} colSpan={props.colSpan} aria-sort={order}>
      <a class="sort-head" href={withQuery({ sort: following === start ? null : following, cursor: null })}>
        {children}
        {isPicked ? (
          <svg viewBox="0 0 8 10" width="8" height="10" aria-hidden="true" fill="none" stroke="currentColor">
            <path d={isReversed ? "M4 1v8M1 6l3 3 3-3" : "M4 9V1M1 4l3-3 3 3"} />
          </svg>
        ) : null}
      </a>
    </th>
  );
}
