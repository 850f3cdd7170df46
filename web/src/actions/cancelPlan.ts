// What a cancel does, in counts, from the status of the experiment.
import type { StatusDocument } from "../api/documents/status";
import { count, duration } from "../ui/format";

type Task = StatusDocument["tasks"][number];

export interface CancelLine {
  readonly status: string;
  readonly count: number;
  readonly text: string;
}

export interface CancelPlan {
  readonly lines: readonly CancelLine[];
  /** How many tasks will be CANCELLED. */
  readonly cancelled: number;
}

/** The signal that a task gets, and the seconds until KILL. */
export interface Stop {
  readonly signal: string;
  readonly grace: number;
}

export const USUAL: Stop = { signal: "TERM", grace: 10 };

const OVER = ["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"];

/** Whether a word of `exp cancel` names a task: its id, its group, a glob, or the beginning of its id. */
export function isNamed(task: Task, word: string): boolean {
  if (task.id === word || task.group === word) return true;
  if (/[*?[]/.test(word)) return globOf(word).test(task.id);
  return word !== "" && task.id.startsWith(word);
}

function globOf(word: string): RegExp {
  const parts = word
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  try {
    return new RegExp(`^${parts.replaceAll("[!", "[^")}$`, "s");
  } catch {
    return /^(?!)/; // a bracket that nothing closes
  }
}

/** What a cancel of some tasks does, or of all of them. */
export function cancelPlan(
  status: StatusDocument,
  word: string | null,
  { stopOf, now }: { stopOf: (task: Task) => Stop; now: number },
): CancelPlan {
  const isWhole = word === null;
  const chosen = status.tasks.filter((task) => isWhole || isNamed(task, word));
  const handlers = isWhole ? chosen.filter((task) => task.handler && !OVER.includes(task.status)) : [];
  const tasks = chosen.filter((task) => !handlers.includes(task));
  const running = tasks.filter((task) => task.status === "RUNNING" || task.status === "UNKNOWN");
  const queued = tasks.filter((task) => task.status === "SUBMITTED");
  const waiting = tasks.filter((task) => task.status === "PENDING");
  const over = tasks.filter((task) => OVER.includes(task.status));
  const last = handlers.filter((task) => task.handler === "on_exit");
  const lines: CancelLine[] = [];
  const say = (status: string, some: readonly Task[], text: string) => {
    if (some.length) lines.push({ status, count: some.length, text });
  };
  const one = (some: readonly Task[], single: string, several: string) =>
    some.length === 1 ? single : several;
  say(
    "RUNNING",
    running,
    `${one(running, "runs: it gets", "run: they get")} ${stopText(running.map(stopOf))}.${oldest(running, now)}`,
  );
  say(
    "SUBMITTED",
    queued,
    one(queued, "is in a queue: it is taken out.", "are in a queue: they are taken out."),
  );
  say("PENDING", waiting, one(waiting, "waits: it will not start.", "wait: they will not start."));
  say(
    OVER.find((one) => over.some(({ status: its }) => its === one)) ?? "SKIPPED",
    over,
    `${one(over, "is over and stays as it is", "are over and stay as they are")}: ${byStatus(over)}.`,
  );
  const names = last.map((task) => task.id).join(", ");
  say("PENDING", last, `${one(last, "handler still runs", "handlers still run")} at the end: ${names}.`);
  return { lines, cancelled: running.length + queued.length + waiting.length };
}

function stopText(stops: readonly Stop[]): string {
  const signals = [...new Set(stops.map(({ signal }) => signal.replace(/^SIG/, "")))];
  const graces = [...new Set(stops.map(({ grace }) => grace))].sort((a, b) => a - b);
  const first = signals.length === 1 ? signals[0] : signals.join(" or ");
  const times = graces.length > 1 ? `${graces[0]} to ${graces.at(-1)} s` : `${graces[0]} s`;
  return `${first}, and KILL after ${times}`;
}

function oldest(running: readonly Task[], now: number): string {
  const starts = running.flatMap((task) => (task.started ? Date.parse(task.started) : []));
  if (!starts.length) return "";
  const longest = duration((now - Math.min(...starts)) / 1000);
  return running.length === 1 ? ` It has run for ${longest}.` : ` The oldest has run for ${longest}.`;
}

function byStatus(tasks: readonly Task[]): string {
  return OVER.map((status) => [tasks.filter((task) => task.status === status).length, status] as const)
    .filter(([number]) => number)
    .map(([number, status]) => `${count(number)} ${status}`)
    .join(", ");
}

/** The groups of which something can be cancelled, with how many. */
export function openGroups(status: StatusDocument): { group: string; count: number }[] {
  const groups = new Map<string, number>();
  for (const task of status.tasks) {
    if (task.group && !OVER.includes(task.status)) groups.set(task.group, (groups.get(task.group) ?? 0) + 1);
  }
  return [...groups].map(([group, number]) => ({ group, count: number }));
}

/** How each task is stopped, from the resolved spec of `exp.spec/1`. */
export function stops(resolved: unknown): (task: Task) => Stop {
  const spec = mapping(resolved);
  const shared = mapping(spec.shared);
  const tasks = new Map(list(spec.tasks).map((task) => [mapping(task).id, mapping(task)]));
  return (task) => {
    const own = tasks.get(task.id) ?? {};
    const common = task.group ? mapping(shared[task.group]) : {};
    const signal = own.stop_signal ?? common.stop_signal;
    const grace = own.stop_grace ?? common.stop_grace;
    return {
      signal: typeof signal === "string" ? signal : USUAL.signal,
      grace: typeof grace === "number" ? grace : USUAL.grace,
    };
  };
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
