// How curves are shown: all of it is in the query of the address.
import { AXES, type Axis } from "./model";
import type { Span } from "./ranges";

export interface CurveSettings {
  /** The axis; null for step, or epoch where rows have no step. */
  readonly x: Axis | null;
  readonly isXLog: boolean;
  /** The weight of what was before, from 0 to 0.99. */
  readonly smoothing: number;
  /** Globs of the metrics that are shown; none for all. */
  readonly keys: readonly string[];
  /** The runs that are not drawn. */
  readonly hidden: ReadonlySet<string>;
  /** If given, only these runs are drawn, and `hidden` is empty. */
  readonly shown: ReadonlySet<string> | null;
  /** The metrics with a logarithmic axis. */
  readonly log: ReadonlySet<string>;
  /** The metrics whose range leaves out no beginning. */
  readonly whole: ReadonlySet<string>;
  readonly zoom: Span | null;
  /** The param that gives the colour; null for each run its own. */
  readonly colour: string | null;
  /** The param over which the mean is drawn; null for each run its own line. */
  readonly join: string | null;
  readonly band: "range" | "deviation";
  /** Whether rows that a later attempt has superseded are drawn too. */
  readonly hasAttempts: boolean;
  /** The only metric that is shown, large. */
  readonly full: string | null;
  /** Charts in a row; null for as many as fit. */
  readonly columns: number | null;
  /** The groups of metrics that are opened or folded against their default. */
  readonly turned: ReadonlySet<string>;
}

export const DEFAULTS: CurveSettings = {
  x: null,
  isXLog: false,
  smoothing: 0,
  keys: [],
  hidden: new Set(),
  shown: null,
  log: new Set(),
  whole: new Set(),
  zoom: null,
  colour: null,
  join: null,
  band: "range",
  hasAttempts: false,
  full: null,
  columns: null,
  turned: new Set(),
};

const NOTHING = "-";

export function settingsOf(query: URLSearchParams): CurveSettings {
  const x = query.get("x");
  const smoothing = Number(query.get("smooth"));
  const columns = Number(query.get("columns"));
  const shown = query.getAll("run");
  return {
    x: AXES.find((axis) => axis === x) ?? null,
    isXLog: query.get("xlog") === "1",
    smoothing: smoothing > 0 && smoothing < 1 ? Math.min(0.99, smoothing) : 0,
    keys: query.getAll("key"),
    hidden: new Set(query.getAll("off")),
    shown: shown.length ? new Set(shown.filter((id) => id !== NOTHING)) : null,
    log: new Set(query.getAll("log")),
    whole: new Set(query.getAll("whole")),
    zoom: spanOf(query.get("zoom")),
    colour: query.get("colour"),
    join: query.get("join"),
    band: query.get("band") === "sd" ? "deviation" : "range",
    hasAttempts: query.get("attempts") === "all",
    full: query.get("full"),
    columns: [1, 2, 3].includes(columns) ? columns : null,
    turned: new Set(query.getAll("group")),
  };
}

function spanOf(text: string | null): Span | null {
  const [least = Number.NaN, largest = Number.NaN] = (text ?? "").split("~").map(Number);
  return text && Number.isFinite(least) && largest > least && Number.isFinite(largest)
    ? { least, largest }
    : null;
}

/** The values of the query for some settings; null for what is as it is by default. */
export function queryOf(settings: CurveSettings): Record<string, string | readonly string[] | null> {
  const several = (values: Iterable<string>) => [...values];
  return {
    x: settings.x,
    xlog: settings.isXLog ? "1" : null,
    smooth: settings.smoothing ? String(settings.smoothing) : null,
    key: settings.keys,
    off: settings.shown ? [] : several(settings.hidden),
    run: settings.shown ? (settings.shown.size ? several(settings.shown) : [NOTHING]) : [],
    log: several(settings.log),
    whole: several(settings.whole),
    zoom: settings.zoom ? `${settings.zoom.least}~${settings.zoom.largest}` : null,
    colour: settings.colour,
    join: settings.join,
    band: settings.band === "deviation" ? "sd" : null,
    attempts: settings.hasAttempts ? "all" : null,
    full: settings.full,
    columns: settings.columns ? String(settings.columns) : null,
    group: several(settings.turned),
  };
}

export function isShown(settings: CurveSettings, run: string): boolean {
  return settings.shown ? settings.shown.has(run) : !settings.hidden.has(run);
}

/** The settings with some runs drawn or not, written the shorter way. */
export function withRuns(
  settings: CurveSettings,
  all: readonly string[],
  drawn: ReadonlySet<string>,
): CurveSettings {
  const hidden = all.filter((id) => !drawn.has(id));
  return hidden.length <= drawn.size
    ? { ...settings, shown: null, hidden: new Set(hidden) }
    : { ...settings, shown: new Set(all.filter((id) => drawn.has(id))), hidden: new Set() };
}

/** A set with a value added, or removed if it has it. */
export function toggled(values: ReadonlySet<string>, value: string): ReadonlySet<string> {
  const changed = new Set(values);
  if (!changed.delete(value)) changed.add(value);
  return changed;
}

/** Whether one of the globs matches a key; a text that is a key is that key alone. */
export function isWanted(key: string, globs: readonly string[], known: ReadonlySet<string>): boolean {
  if (!globs.length) return true;
  return globs.some((glob) => (known.has(glob) ? glob === key : matches(key, glob)));
}

/** `*`, `?` and `[…]` as the commands read them, for the key, its series or its last part. */
export function matches(key: string, glob: string): boolean {
  const pattern = new RegExp(`^${patternOf(glob)}$`, "su");
  const slash = key.lastIndexOf("/");
  return (
    pattern.test(key) ||
    (slash >= 0 && (pattern.test(key.slice(slash + 1)) || pattern.test(key.slice(0, slash))))
  );
}

function patternOf(glob: string): string {
  let pattern = "";
  for (let index = 0; index < glob.length; ) {
    const letter = String.fromCodePoint(glob.codePointAt(index) as number);
    index += letter.length;
    const end = letter === "[" ? glob.indexOf("]", index + (glob[index] === "!" ? 2 : 1)) : -1;
    if (letter === "*") pattern += ".*";
    else if (letter === "?") pattern += ".";
    else if (end > 0) {
      const inner = glob.slice(index, end).replace(/[\\\]^&~|{}()[/]/g, "\\$&");
      pattern += inner.startsWith("!") ? `[^${inner.slice(1)}]` : `[${inner}]`;
      index = end + 1;
    } else pattern += letter.replace(/[\\^$.*+?()[\]{}|/]/u, "\\$&");
  }
  return pattern;
}
