// The addresses of experiments and records: of their views on this page, and of their documents on the server.
import { pathOf } from "../app/route";

export interface ExperimentAddress {
  readonly owner: string;
  readonly home: string;
  readonly id: string;
}

export interface RecordAddress {
  readonly prefix: string;
  /** The word for its folder of records, if several have the prefix. */
  readonly root?: string;
}

/** A record as a query has it: `PREFIX`, or `PREFIX?root=WORD`. */
export function recordText({ prefix, root }: RecordAddress): string {
  return root ? `${prefix}?root=${root}` : prefix;
}

/** OWNER/HOME/ID, as parameters and topics name it. */
export function experimentName({ owner, home, id }: ExperimentAddress): string {
  return `${owner}/${home}/${id}`;
}

export function experimentHref({ owner, home, id }: ExperimentAddress): string {
  return pathOf("experiments", owner, home, id);
}

export function experimentDocument({ owner, home, id }: ExperimentAddress, view: string): string {
  return `/v1/views${pathOf("experiments", owner, home, id, view)}`;
}

export function recordHref({ prefix, root }: RecordAddress): string {
  return pathOf("records", ...prefix.split("/")) + (root ? `?${new URLSearchParams({ root })}` : "");
}

/** The address of a view of a record, such as `params`; the empty text for the record itself. */
export function recordDocument(
  { prefix, root }: RecordAddress,
  view: string,
  query: Record<string, string | readonly string[]> = {},
): string {
  const search = new URLSearchParams(root ? { root } : {});
  for (const [name, values] of Object.entries(query)) {
    for (const value of [values].flat()) search.append(name, value as string);
  }
  const parts = [...prefix.split("/"), ".record", ...(view ? [view] : [])];
  return `/v1/views${pathOf("records", ...parts)}${search.size ? `?${search}` : ""}`;
}
