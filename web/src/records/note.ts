// What a row says of a record besides its status.
import type { RecordsDocument } from "../api/documents/records";
import { bytes, count, duration } from "../ui/format";

export type Entry = RecordsDocument["records"][number];

const MOMENT = 15; // seconds for which nothing has to be heard

/** How it ended, when it was last heard of, and what has not arrived. */
export function notesOf(entry: Entry): { text: string; isUncertain: boolean }[] {
  const notes: { text: string; isUncertain: boolean }[] = [];
  const say = (text: string, isUncertain: boolean) => notes.push({ text, isUncertain });
  const { heard, sync } = entry;
  if (entry.reason) say(entry.reason, false);
  if (heard && heard.age > MOMENT) say(`last heard of ${duration(heard.age)} ago`, true);
  if (heard?.skew) {
    const way = heard.skew > 0 ? "ahead" : "behind";
    say(`${heard.machine ?? "that machine"}'s clock is ${duration(Math.abs(heard.skew))} ${way}`, true);
  }
  if (sync?.pending) say(`${bytes(sync.pending)} not sent yet`, true);
  if (
    entry.status === "RUNNING" &&
    entry.openings.every(({ state }) => state === "gone" || state === "ended")
  ) {
    say("its process is gone", true);
  }
  return notes;
}

/** `12 run, 3 failed`. */
export function headline(statuses: Readonly<Record<string, number>>): string {
  const parts = [
    statuses.RUNNING
      ? `${count(statuses.RUNNING)} ${statuses.RUNNING === 1 ? "runs" : "run"}`
      : "nothing runs",
    statuses.FAILED ? `${count(statuses.FAILED)} failed` : null,
  ];
  const text = parts.filter(Boolean).join(", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A prefix below that of the list: what the reader knows already is left out. */
export function below(prefix: string, folder: string): string {
  return folder && prefix.startsWith(`${folder}/`) ? prefix.slice(folder.length + 1) : prefix;
}
