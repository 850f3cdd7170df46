// What the figures of a search show: points, the best line, and words for what trials are.
import type { SearchDocument } from "../api/documents/search";

export type Study = SearchDocument["searches"][number];
export type Trial = Study["history"][number];
export type Phase = "complete" | "pruned" | "failed" | "running" | "pending" | "cancelled" | "skipped";

export interface Point {
  readonly trial: Trial;
  readonly value: number;
  readonly phase: "complete" | "pruned";
}

const LIVE: ReadonlySet<string> = new Set(["SUBMITTED", "RUNNING", "UNKNOWN"]);
const PHASES: Readonly<Record<string, Phase>> = {
  PENDING: "pending",
  CANCELLED: "cancelled",
  SKIPPED: "skipped",
  FAILED: "failed",
  SUCCEEDED: "complete",
};

/** What a trial is counted as: its outcome, or its state without one. */
export function phaseOf(trial: Trial): Phase {
  if (LIVE.has(trial.status)) return "running";
  return trial.outcome ?? PHASES[trial.status] ?? "pending";
}

/** The values of one goal: of complete trials, and of pruned ones the value at which they were pruned. */
export function pointsOf(study: Study, goal: number): Point[] {
  return study.history.flatMap((trial): Point[] => {
    const phase = phaseOf(trial);
    const value =
      phase === "complete"
        ? trial.values?.[goal]
        : phase === "pruned" && study.goals.length === 1
          ? trial.pruned_value
          : null;
    return typeof value === "number" && Number.isFinite(value) && (phase === "complete" || phase === "pruned")
      ? [{ trial, value, phase }]
      : [];
  });
}

/** The best value so far after each trial that made it better, by number; empty with several goals. */
export function bestLine(study: Study): { number: number; value: number }[] {
  if (study.goals.length !== 1) return [];
  const isBetter = (value: number, than: number) =>
    study.goals[0] === "maximize" ? value > than : value < than;
  const line: { number: number; value: number }[] = [];
  for (const { trial, value, phase } of pointsOf(study, 0)) {
    const last = line.at(-1);
    if (phase === "complete" && (!last || isBetter(value, last.value))) {
      line.push({ number: trial.number, value });
    }
  }
  return line;
}

/** The numbers of the trials that are the best: one, or with several goals those that none dominates. */
export function winnersOf(study: Study): ReadonlySet<number> {
  return new Set([...(study.best ? [study.best] : []), ...study.front].map((found) => found.number));
}

/** The importances, the largest first. */
export function sharesOf(study: Study): { name: string; share: number }[] {
  return Object.entries(study.importances ?? {})
    .map(([name, share]) => ({ name, share }))
    .sort((one, other) => other.share - one.share || (one.name < other.name ? -1 : 1));
}

/** A trial in one line: its number, what it is, its values and params. */
export function about(study: Study, trial: Trial, valueText: (value: unknown) => string): string {
  const values = trial.values?.map((value, goal) => `${study.metrics[goal] ?? ""} ${valueText(value)}`);
  const pruned =
    trial.outcome === "pruned" && trial.pruned_value !== null
      ? [
          `${study.metrics[0] ?? ""} ${valueText(trial.pruned_value)}${trial.pruned_at === null ? "" : ` at ${valueText(trial.pruned_at)}`}`,
        ]
      : [];
  const params = Object.entries(trial.params).map(([name, value]) => `${name} ${valueText(value)}`);
  const parts = [phaseOf(trial), ...(values ?? pruned), ...params];
  return `Trial ${trial.number}: ${parts.join(", ")}`;
}
