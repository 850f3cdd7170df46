// What an experiment's state is, in one sentence to three: state, how long, what is left, what failed first.
import type { StatusDocument } from "../api/documents/status";
import { count, duration } from "../ui/format";
import { compareTimes, nodeOf, nodesOf, type Sweep, stoppedBy, type Task } from "./tasks";

export interface Piece {
  readonly text: string;
  /** `status` and `bad` are coloured; a `task` is a link to it; a `command` can be copied. */
  readonly kind?: "status" | "bad" | "task" | "command";
  readonly isBad?: boolean;
}

const QUIET = 60; // seconds without a report that are worth a word
const NEAR = 5; // seconds by which an estimate is not worth telling

/**
 * The pieces of the sentences.
 *
 * @param seconds how long it has taken; null before its start
 */
export function statusSentence(status: StatusDocument, seconds: number | null): Piece[] {
  const sentences = [
    state(status, seconds),
    progress(status),
    failures(status),
    unknown(status),
    remedy(status),
  ];
  return sentences
    .filter((pieces) => pieces.length)
    .flatMap((pieces, index) => [...(index ? [text(" ")] : []), ...pieces]);
}

/** The same as plain text. */
export function plain(pieces: readonly Piece[]): string {
  return pieces.map((piece) => piece.text).join("");
}

function text(words: string): Piece {
  return { text: words };
}

function state(status: StatusDocument, seconds: number | null): Piece[] {
  const word: Piece = { text: status.status, kind: "status" };
  const took = seconds === null ? "" : duration(seconds);
  if (status.status === "RUNNING") {
    const lost = isAbandoned(status)
      ? " Its supervisor has terminated: what runs goes on, and nothing else starts."
      : "";
    return [word, text(`${running(status, took)}.${lost}`)];
  }
  if (status.status === "INTERRUPTED") {
    return [word, text(`${took ? ` after ${took}` : ""}: nothing runs, and nothing starts what is left.`)];
  }
  return [word, text(took ? ` ${status.status === "COMPLETED" ? "in" : "after"} ${took}.` : ".")];
}

/** Whether tasks run, but no supervisor that could start what is left. */
export function isAbandoned(status: StatusDocument): boolean {
  return status.status === "RUNNING" && status.supervisor.state === "gone";
}

/** What to type if nothing starts what is left. */
function remedy(status: StatusDocument): Piece[] {
  if (status.status !== "INTERRUPTED" && !isAbandoned(status)) return [];
  return [text("Continue with "), { text: `exp resume ${status.id}`, kind: "command" }, text(".")];
}

function running(status: StatusDocument, took: string): string {
  const parts = [took ? ` for ${took}` : ", not started yet"];
  const heard = status.heard;
  if (heard && heard.age > QUIET) parts.push(`, last heard of ${duration(heard.age)} ago`);
  const left = Math.max(0, ...(status.sweeps ?? []).map((sweep) => sweep.seconds_left ?? 0));
  if (left > NEAR && !(heard && heard.age > QUIET)) parts.push(`, about ${duration(left)} left`);
  if (status.supervisor.problem)
    parts.push(`, but ${status.supervisor.problem}: nothing starts or is recorded`);
  else if (status.supervisor.responding === false) parts.push(", but its supervisor does not respond");
  return parts.join("");
}

function progress(status: StatusDocument): Piece[] {
  const own = status.tasks.filter((task) => !task.handler);
  const done = own.filter((task) => task.status === "SUCCEEDED").length;
  if (status.status === "COMPLETED") {
    const others = own.length - done;
    const which =
      own.length === 1
        ? "Its task"
        : `${done === own.length ? "All " : ""}${done} ${others ? `of ${own.length} ` : ""}tasks`;
    return done ? [text(`${which} succeeded.`)] : [];
  }
  if (status.outcome && status.status === "RUNNING") {
    const left = status.tasks.filter((task) => task.handler && !isEnded(task)).length;
    return [
      text(
        `The tasks are over (${status.outcome}); ${left} ${left === 1 ? "handler is" : "handlers are"} not.`,
      ),
    ];
  }
  const sweep = largestOpen(status);
  const total = sweep ? sweep.members : own.length;
  if (total === 1) return [];
  const counted = sweep ? (sweep.counts.SUCCEEDED ?? 0) : done;
  const failed = sweep ? (sweep.counts.FAILED ?? 0) : 0;
  const pieces: Piece[] = [text(`${count(counted)} of ${count(total)} ${sweep ? "members of " : "tasks"}`)];
  if (sweep) pieces.push({ text: sweep.id, kind: "task" });
  pieces.push(text(counted === 1 ? " is done" : " are done"));
  if (failed) pieces.push(text(" and "), { text: `${count(failed)} failed`, kind: "bad" });
  return [...pieces, text(".")];
}

/** The sweep with most members of those that are not over; null without one. */
function largestOpen(status: StatusDocument): Sweep | null {
  const open = (status.sweeps ?? []).filter((sweep) => {
    const { SUCCEEDED = 0, FAILED = 0, CANCELLED = 0, SKIPPED = 0, PENDING = 0 } = sweep.counts;
    return SUCCEEDED + FAILED + CANCELLED + SKIPPED < sweep.members && PENDING < sweep.members;
  });
  return open.sort((one, other) => other.members - one.members)[0] ?? null;
}

function failures(status: StatusDocument): Piece[] {
  const counted = status.outcome ? null : (largestOpen(status)?.id ?? null);
  const failed = status.tasks
    .filter((task) => task.status === "FAILED")
    .sort((one, other) => compareTimes(one.ended, other.ended));
  const isAny = status.tasks.some((task) => task.status === "SKIPPED" || task.status === "CANCELLED");
  const stopping = failed.filter(
    (task) => nodeOf(task) !== counted || (isAny && stoppedBy([task], status.tasks).length > 0),
  );
  const first = stopping[0];
  if (!first) return [];
  const others = stopping.length - 1;
  const pieces: Piece[] = [
    { text: first.id, kind: "task", isBad: true },
    {
      text: others ? ` failed first, then ${others} ${others === 1 ? "other" : "others"}` : " failed",
      kind: "bad",
    },
  ];
  const stopped = nodesOf(stoppedBy(stopping, status.tasks));
  if (stopped.length) {
    pieces.push(
      text(", so "),
      ...names(stopped),
      text(stopped.length === 1 ? " was skipped" : " were skipped"),
    );
  }
  return [...pieces, text(".")];
}

function names(nodes: readonly string[]): Piece[] {
  const shown = nodes.length > MOST ? nodes.slice(0, MOST - 1) : nodes;
  const pieces: Piece[] = shown.flatMap((node, index) => {
    const isLast = index === nodes.length - 1;
    const before = index === 0 ? [] : [text(isLast ? " and " : ", ")];
    return [...before, { text: node, kind: "task" as const }];
  });
  return nodes.length > MOST ? [...pieces, text(` and ${nodes.length - shown.length} more`)] : pieces;
}

const MOST = 4;

function unknown(status: StatusDocument): Piece[] {
  const unknown = status.counts.UNKNOWN ?? 0;
  if (!unknown) return [];
  const what = unknown === 1 ? "1 task is UNKNOWN" : `${count(unknown)} tasks are UNKNOWN`;
  return [text(`${what}: whether ${unknown === 1 ? "it runs" : "they run"} is not known.`)];
}

function isEnded(task: Task): boolean {
  return !["PENDING", "SUBMITTED", "RUNNING", "UNKNOWN"].includes(task.status);
}
