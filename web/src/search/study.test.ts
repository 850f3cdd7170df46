import { expect, test } from "vitest";
import { about, bestLine, phaseOf, pointsOf, type Study, sharesOf, type Trial, winnersOf } from "./study";

function trial(number: number, given: Partial<Trial>): Trial {
  const id = `train/trial-000${number}`;
  return {
    id,
    tasks: [id],
    number,
    task: id,
    status: "SUCCEEDED",
    reason: null,
    params: { lr: 0.1 },
    outcome: null,
    values: null,
    pruned_at: null,
    pruned_value: null,
    message: null,
    started: null,
    ended: null,
    duration: null,
    ...given,
  };
}

function study(history: Trial[], given: Partial<Study> = {}): Study {
  return { metrics: ["loss"], goals: ["minimize"], best: null, front: [], history, ...given } as Study;
}

const complete = (number: number, value: number) => trial(number, { outcome: "complete", values: [value] });
const pruned = trial(3, { reason: "pruned", outcome: "pruned", pruned_at: 4, pruned_value: 0.05 });

test("a pruned trial is a point, but never makes the best better", () => {
  const shown = study([complete(1, 0.5), complete(2, 0.7), pruned, complete(4, 0.2)]);
  expect(pointsOf(shown, 0).map((point) => point.phase)).toEqual([
    "complete",
    "complete",
    "pruned",
    "complete",
  ]);
  expect(bestLine(shown)).toEqual([
    { number: 1, value: 0.5 },
    { number: 4, value: 0.2 },
  ]);
});

test("the best line follows the goal, and there is none for several", () => {
  const history = [complete(1, 0.5), complete(2, 0.7), complete(3, 0.6)];
  expect(bestLine(study(history, { goals: ["maximize"] })).map((each) => each.value)).toEqual([0.5, 0.7]);
  expect(bestLine(study(history, { goals: ["maximize", "minimize"] }))).toEqual([]);
});

test("a trial that runs again is running, whatever its former result", () => {
  expect(phaseOf(trial(1, { status: "RUNNING", outcome: "failed" }))).toBe("running");
  expect(phaseOf(trial(1, { status: "SKIPPED" }))).toBe("skipped");
  expect(phaseOf(pruned)).toBe("pruned");
});

test("winners are the best one, or all that none dominates", () => {
  const found = { id: "train/trial-0002", task: "train/trial-0002", number: 2, params: {}, values: [1, 2] };
  expect([...winnersOf(study([], { front: [found, { ...found, number: 4 }] }))]).toEqual([2, 4]);
});

test("importances are listed with the largest first", () => {
  const shares = sharesOf(study([], { importances: { a: 0.2, b: 0.7, c: 0.1 } }));
  expect(shares.map((each) => each.name)).toEqual(["b", "a", "c"]);
});

test("a pruned trial is described by the value and place at which it was pruned", () => {
  expect(about(study([]), pruned, String)).toBe("Trial 3: pruned, loss 0.05 at 4, lr 0.1");
});
