// What is marked for Compare: experiments and records, in the address, so that paging and filters keep them.
import { navigate, route, withQuery } from "../app/route";

const MARK = "mark";

/** The marked rows, as this list names them. */
export function marked(): readonly string[] {
  return route.value.query.getAll(MARK);
}

/** Marks a row, or takes the mark away. */
export function toggleMark(id: string): void {
  const before = marked();
  const after = before.includes(id) ? before.filter((one) => one !== id) : [...before, id];
  navigate(withQuery({ [MARK]: after }), { replace: true });
}

/** The address of the list without marks. */
export function withoutMarks(): string {
  return withQuery({ [MARK]: null });
}

/** The address of the comparison of what is marked. */
export function compareHref(kind: "experiment" | "prefix"): string {
  return `/compare?${new URLSearchParams(marked().map((id) => [kind, id]))}`;
}
