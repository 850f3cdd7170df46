import { expect, test } from "vitest";
import { type CurveSettings, DEFAULTS, isShown, matches, queryOf, settingsOf, withRuns } from "./settings";

function queried(settings: CurveSettings): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(queryOf(settings))) {
    for (const one of value === null ? [] : [value].flat()) query.append(name, one as string);
  }
  return query;
}

test("all settings survive the address", () => {
  const settings: CurveSettings = {
    x: "epoch",
    isXLog: true,
    smoothing: 0.6,
    keys: ["digits/*", "a,b & c"],
    hidden: new Set(["train[1]", "é/x"]),
    shown: null,
    log: new Set(["loss"]),
    whole: new Set(["acc"]),
    zoom: { least: -1.5, largest: 1e9 },
    colour: "lr",
    join: "seed",
    band: "deviation",
    hasAttempts: true,
    full: "loss",
    columns: 2,
    turned: new Set(["system"]),
  };
  expect(settingsOf(queried(settings))).toEqual(settings);
  expect([...queried(DEFAULTS)]).toEqual([]);
});

test("what the address says wrongly is left out", () => {
  const query = new URLSearchParams("x=z&smooth=7&zoom=3~1&columns=9&zoom=a");
  expect(settingsOf(query)).toEqual(DEFAULTS);
});

test("runs are written the shorter way, none too", () => {
  const all = ["a", "b", "c"];
  const one = withRuns(DEFAULTS, all, new Set(["c"]));
  expect([one.hidden.size, [...(one.shown ?? [])]]).toEqual([0, ["c"]]);
  const none = settingsOf(queried(withRuns(DEFAULTS, all, new Set())));
  expect(all.map((id) => isShown(none, id))).toEqual([false, false, false]);
});

test("globs match a key, its series or its last part, whatever they contain", () => {
  expect(matches("digits/loss", "digits/*")).toBe(true);
  expect(matches("digits/loss", "loss")).toBe(true);
  expect(matches("digits/loss", "[!a-c]igits")).toBe(true);
  expect(matches("a.b", "a?c")).toBe(false);
  expect(matches("x(y", "x(*")).toBe(true);
  expect(matches("[", "[")).toBe(true);
});
