// The facts below the sentence: who started it, what drives it, and what is not known here.
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import { absolute, bytes, clockText, dateText, duration } from "../ui/format";

export interface Fact {
  readonly text: string;
  readonly title?: string | undefined;
  /** Something that the page does not know, or that has not arrived. */
  readonly isUnsure?: boolean;
}

/** The facts in the order shown; `timeline` adds some when it is there. */
export function factsOf(status: StatusDocument, timeline: TimelineDocument | null): Fact[] {
  const { max_parallel: most = null, revision = 1, rerun_of: original = null } = timeline ?? {};
  return [
    origin(status, timeline),
    ...(original ? [{ text: `rerun of ${original}` }] : []),
    ...supervisor(status),
    ...heard(status),
    ...(status.sync?.pending
      ? [
          {
            text: `not here yet, ${bytes(status.sync.pending)} to go`,
            title: status.sync.error ?? undefined,
            isUnsure: true,
          },
        ]
      : []),
    ...(status.not_observed ? [{ text: "not observed", title: status.not_observed, isUnsure: true }] : []),
    ...(status.tags.length ? [{ text: status.tags.join(", ") }] : []),
    ...(status.key ? [{ text: `key ${status.key}` }] : []),
    ...(most === null ? [] : [{ text: `at most ${most} at once` }]),
    ...(revision > 1 ? [{ text: `revision ${revision}` }] : []),
  ];
}

/** Who did something, from the author of an event such as `alice@box:26633 (exp run)`. */
export function author(by: string): { user: string; host: string | null } {
  const [user = by, host = null] = (by.split(/[ (:]/, 1)[0] ?? by).split("@");
  return { user, host };
}

function origin(status: StatusDocument, timeline: TimelineDocument | null): Fact {
  const time = status.started ?? status.created;
  const made = timeline?.created_by ? author(timeline.created_by) : null;
  const user = made?.user ?? status.owner;
  const host = timeline?.host ?? status.supervisor.host ?? made?.host;
  const when = time ? ` ${clockTime(time)}` : "";
  return {
    text: `${status.started ? "started" : "created"}${when}${user ? ` by ${user}` : ""}${host ? ` on ${host}` : ""}`,
    title: time ? absolute(time) : undefined,
  };
}

function supervisor(status: StatusDocument): Fact[] {
  const { state, pid, host, responding } = status.supervisor;
  if (state === "ended" || (status.ended !== null && state !== "alive")) return [];
  const process = pid === null ? "" : `, pid ${pid}`;
  if (state === "alive") {
    return responding === false
      ? [{ text: `supervisor does not respond${process}`, isUnsure: true }]
      : [{ text: `supervisor alive${process}` }];
  }
  if (state === "gone") return [{ text: `supervisor terminated${process}`, isUnsure: true }];
  return [{ text: `supervisor on ${host ?? "another machine"}${process}` }];
}

function heard(status: StatusDocument): Fact[] {
  const report = status.heard;
  if (!report) return [];
  const facts: Fact[] = [{ text: `last heard of ${duration(report.age)} ago`, isUnsure: report.age > 60 }];
  if (report.skew) {
    const where = report.skew > 0 ? "ahead" : "behind";
    facts.push({
      text: `that machine's clock is ${duration(Math.abs(report.skew))} ${where}`,
      isUnsure: true,
    });
  }
  return facts;
}

/** A time of the day in the zone of the reader, with the date if it is not today. */
export function clockTime(time: string, today = new Date()): string {
  const date = new Date(time);
  const hours = clockText(date);
  return date.toDateString() === today.toDateString() ? hours : `${dateText(date)} ${hours}`;
}
