// The events of an experiment as they are loaded: a part of the ledger that grows at both ends.
import type { EventListDocument } from "../api/documents/event-list";

export interface LedgerEvent {
  /** Its number in the ledger, from 0. */
  readonly number: number;
  readonly event: string;
  readonly time: string;
  readonly by: string;
  readonly task: string | null;
  readonly summary: string;
}

export interface LoadedEvents {
  /** In the order of the ledger, from `first` on, without gaps. */
  readonly events: readonly LedgerEvent[];
  readonly first: number;
  readonly total: number;
}

export const NOTHING: LoadedEvents = { events: [], first: 0, total: 0 };

/** The events with those of a page, which begins after the first `after` ones. */
export function withPage(loaded: LoadedEvents, page: EventListDocument, after: number): LoadedEvents {
  const fresh = page.events.map((event, index) =>
    asEvent(event, page.summaries?.[index] ?? "", after + index),
  );
  if (!loaded.events.length || page.total < loaded.total) {
    return { events: fresh, first: after, total: page.total };
  }
  const end = loaded.first + loaded.events.length;
  if (after < loaded.first) {
    const before = fresh.slice(0, loaded.first - after);
    return { events: [...before, ...loaded.events], first: after, total: page.total };
  }
  return {
    ...loaded,
    events: [...loaded.events, ...fresh.slice(Math.max(0, end - after))],
    total: page.total,
  };
}

function asEvent(event: object, summary: string, number: number): LedgerEvent {
  const { event: kind, time, by, task } = event as Record<string, unknown>;
  return {
    number,
    event: String(kind),
    time: String(time),
    by: String(by ?? ""),
    task: typeof task === "string" ? task : null,
    summary,
  };
}

/** Those of some kinds, and of a task, or of a group by the beginning of its members' ids. */
export function filtered(events: readonly LedgerEvent[], task: string, kind: string): LedgerEvent[] {
  const wanted = task.trim().toLowerCase();
  return events.filter(
    (event) =>
      (!kind || event.event === kind) && (!wanted || (event.task?.toLowerCase().includes(wanted) ?? false)),
  );
}

/** The events as a table for a spreadsheet. */
export function asTsv(events: readonly LedgerEvent[]): string {
  const rows = events.map(({ time, event, task, summary, by }) => [time, event, task ?? "", summary, by]);
  return [["time", "event", "task", "summary", "by"], ...rows]
    .map((row) => row.map((cell) => cell.replace(/[\t\r\n]+/g, " ")).join("\t"))
    .join("\n");
}
