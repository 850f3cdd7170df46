// What a row says of an experiment besides its counts.
import type { ListDocument } from "../api/documents/list";
import { count, duration } from "../ui/format";

export type Entry = ListDocument["experiments"][number];

export interface Note {
  /** How many failed; the only part with a colour. */
  readonly failed: string | null;
  readonly rest: readonly string[];
}

const FEW = 2; // failures of which the first one says enough
const SILENT = 60; // seconds

/** What failed, how long it takes, why it stands still. */
export function noteOf(entry: Entry): Note {
  const failures = entry.counts.FAILED ?? 0;
  const failed = failures ? `${count(failures)} failed` : null;
  switch (entry.status) {
    case null:
      return { failed: null, rest: [entry.problem ?? "its ledger cannot be read"] };
    case "RUNNING":
      return { failed, rest: running(entry) };
    case "FAILED":
      return { failed, rest: failure(entry, failures) };
    case "CANCELLED":
      return { failed, rest: entry.cancelled_by ? [`cancelled by ${person(entry.cancelled_by)}`] : [] };
    case "INTERRUPTED":
      return { failed, rest: gone(entry) };
    default:
      return { failed: null, rest: [] };
  }
}

function running(entry: Entry): string[] {
  const { counts, heard } = entry;
  if (heard && heard.age > SILENT) return [`last heard of ${duration(heard.age)} ago`];
  if (entry.unsupervised) return gone(entry);
  if (entry.responding === false) return ["its supervisor does not respond"];
  if (counts.UNKNOWN) return [`${count(counts.UNKNOWN)} unknown`];
  if (typeof entry.seconds_left === "number" && entry.seconds_left >= 1)
    return [`~${duration(entry.seconds_left)} left`];
  if (!counts.RUNNING && counts.SUBMITTED) {
    return [counts.SUBMITTED === 1 ? "1 waits in the queue" : `${count(counts.SUBMITTED)} wait in the queue`];
  }
  return [];
}

/** That the supervisor has terminated, and which tasks run without it, as far as that is known. */
function gone({ unsupervised, not_observed }: Entry): string[] {
  if (!unsupervised) return ["supervisor gone"];
  if (not_observed) return ["supervisor gone", `${count(unsupervised)} not observed`];
  return [`${count(unsupervised)} ${unsupervised === 1 ? "runs" : "run"}, supervisor gone`];
}

function failure(entry: Entry, failures: number): string[] {
  const { SKIPPED = 0, PENDING = 0 } = entry.counts;
  const idle = SKIPPED + PENDING;
  const first = entry.failure;
  const parts: string[] = [];
  if (first && failures <= FEW && idle <= failures * 10) {
    const why = [first.exit_code === null ? null : `exit code ${first.exit_code}`, reason(first)];
    const known = why.filter((one) => one !== null).join(", ");
    parts.push(known ? `${first.task}: ${known}` : first.task);
  } else if (idle > failures) {
    parts.push(`${count(idle)} not started`);
  }
  return parts;
}

/** The reason, if the exit code does not say it already. */
function reason(failure: NonNullable<Entry["failure"]>): string | null {
  if (failure.reason === null || failure.reason === "exit") return null;
  if (failure.exit_code === null && failure.message) return failure.message;
  return failure.reason;
}

/** The user in `alice@box:123 (exp cancel)` and in `carol via alice@box:123 (exp cancel)`. */
export function person(by: string): string {
  return by.split(/ via |@/, 1)[0] || by;
}

/** `3 run, 1 is interrupted, 2 failed since yesterday`. */
export function headline(statuses: Readonly<Record<string, number>>, failed: number | null): string {
  const runs = statuses.RUNNING ?? 0;
  const interrupted = statuses.INTERRUPTED ?? 0;
  const parts = [runs ? `${count(runs)} ${runs === 1 ? "runs" : "run"}` : "nothing runs"];
  if (interrupted) parts.push(`${count(interrupted)} ${interrupted === 1 ? "is" : "are"} interrupted`);
  if (failed) parts.push(`${count(failed)} failed since yesterday`);
  const text = parts.join(", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
