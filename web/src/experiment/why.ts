// What `exp why` says about a task, as the panel shows it.
import type { WhyDocument } from "../api/documents/why";
import { countsOf, nodeOf, type Task } from "./tasks";

export type WhyTask = WhyDocument["tasks"][number];
type Cause = WhyTask["causes"][number];

const OWN_WORD = /^(its?|attempt \d+|a|as|the|not|nothing|ready|because|in|likely) /;

/** A message of `exp why` as a sentence: a capital, unless it begins with a name, and a stop. */
export function sentence(message: string): string {
  const begun = OWN_WORD.test(`${message} `) ? message.charAt(0).toUpperCase() + message.slice(1) : message;
  return /[.!?…:]$/.test(begun) ? begun : `${begun}.`;
}

export interface Reason {
  readonly key: string;
  readonly text: string;
  /** The task or group that the text names, for a link; null for none. */
  readonly named: string | null;
}

/** The causes as sentences; those that wait for members of one group are one. */
export function reasonsOf(why: WhyTask, byId: ReadonlyMap<string, Task>): Reason[] {
  const waits = new Map<string, Cause[]>();
  const reasons: Reason[] = [];
  for (const cause of why.causes) {
    const other = cause.task === null ? undefined : byId.get(cause.task);
    const node = other ? nodeOf(other) : null;
    if (why.status !== "PENDING" || cause.kind !== "dependency" || node === null || node === cause.task) {
      reasons.push({ key: `${reasons.length}`, text: sentence(cause.message), named: cause.task });
      continue;
    }
    const same = waits.get(node);
    if (same) same.push(cause);
    else {
      waits.set(node, [cause]);
      reasons.push({ key: node, text: "", named: node });
    }
  }
  return reasons.map((reason) => {
    const same = reason.text === "" && reason.named !== null ? waits.get(reason.named) : undefined;
    if (!same || reason.named === null) return reason;
    if (same.length === 1) {
      const [cause] = same as [Cause];
      return { key: reason.key, text: sentence(cause.message), named: cause.task };
    }
    return { ...reason, text: foldedWait(reason.named, same, why, byId) };
  });
}

function foldedWait(
  node: string,
  causes: readonly Cause[],
  why: WhyTask,
  byId: ReadonlyMap<string, Task>,
): string {
  const needed = why.dependencies.filter((name) => {
    const other = byId.get(name);
    return other !== undefined && nodeOf(other) === node;
  });
  const waiting = causes.flatMap((cause) => byId.get(cause.task ?? "") ?? []);
  const counts = Object.entries(countsOf(waiting)).map(([status, count]) => `${count} ${status}`);
  return `It waits for ${node}: ${causes.length} of ${needed.length} members (${counts.join(", ")}).`;
}

/** What `exp resume` would do, as `exp why` says it after the command; null if nothing can be said. */
export function resumption(why: WhyTask, isSupervised: boolean): string | null {
  const decision = why.resume;
  if (!decision) return null;
  const again = decision.attempt === 1 ? "runs it" : `runs it again, as attempt ${decision.attempt}`;
  const actions = { keep: "keeps it", adopt: "adopts it", wait: "leaves it waiting", run: again };
  const when = isSupervised ? ", after the experiment finishes," : "";
  return `${when} ${actions[decision.action]}: ${decision.reason}`;
}

/** A text in which the first mention of a name is apart, so that it can be a link. */
export function around(text: string, name: string | null): [string, string, string] {
  const place = name === null ? -1 : text.indexOf(name);
  return place < 0 || name === null
    ? [text, "", ""]
    : [text.slice(0, place), name, text.slice(place + name.length)];
}
