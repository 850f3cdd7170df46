// Runs and their curves, as the charts take them: from a server's document, or from the file of a report.
import type { CurvesDocument } from "../api/documents/curves";
import { foldersOf } from "../compare/labels";
import { numberOf, type Points } from "./appended";

export type Axis = "step" | "epoch" | "time" | "relative";
export const AXES: readonly Axis[] = ["step", "epoch", "time", "relative"];

/** A record whose curves are drawn. */
export interface Run {
  /** Unique among the runs of a view, and short: its task if no other run has that, else its prefix. */
  readonly id: string;
  /** Its place among all runs of the view, from 0: what gives it its colour. */
  readonly number: number;
  readonly prefix: string;
  readonly root: string;
  readonly task: string | null;
  readonly status: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** Unix times. */
  readonly begin: number;
  readonly ended: number | null;
  readonly attempts: readonly number[];
  readonly metrics: ReadonlySet<string>;
}

export interface Metric {
  readonly key: string;
  readonly series: string | null;
  readonly records: number;
}

/** The points of one metric of one run, in the order of the axis; NaN where there is no finite number. */
export interface Curve {
  readonly run: string;
  readonly key: string;
  /** The attempt whose superseded rows these are; null for the rows that count. */
  readonly attempt: number | null;
  readonly x: Float64Array;
  /** The last number of each point: the number itself where a point is one. */
  readonly last: Float64Array;
  /** The least and the largest number of each point; null if each point is one number. */
  readonly min: Float64Array | null;
  readonly max: Float64Array | null;
  /** How many numbers the points stand for. */
  readonly total: number;
  /** Whether the rows lack the axis, so that `x` is their number. */
  readonly isNumbered: boolean;
  /** Where a live stream continues; null if the curve has to be read again to know more. */
  readonly position: object | null;
}

/** What a view can show. */
export interface Catalogue {
  readonly runs: readonly Run[];
  readonly metrics: readonly Metric[];
  readonly problems: readonly string[];
}

/** Which curves are asked for. */
export interface CurvesRequest {
  readonly keys: readonly string[];
  readonly axis: Axis;
  readonly from: number | null;
  readonly to: number | null;
  readonly points: number;
  /** The number of an attempt for its superseded rows; null for the rows that count. */
  readonly attempt: number | null;
  /** Only runs with these prefixes. */
  readonly only?: readonly string[];
}

export interface PointTimes {
  readonly x: Float64Array;
  readonly times: readonly (number | null)[];
}

/** Where curves come from: a server, or the file of a report. */
export interface CurvesSource {
  /** Whether all of it is at hand: then charts are drawn before they are scrolled to, since they may be printed. */
  readonly isAtHand?: boolean;
  describe(signal: AbortSignal): Promise<Catalogue>;
  load(request: CurvesRequest, runs: readonly Run[], signal: AbortSignal): Promise<readonly Curve[]>;
  /** Calls back with the prefixes of runs that have new rows, until the returned function is called. */
  watch?(runs: readonly Run[], onChange: (prefixes: readonly string[]) => void): () => void;
  /** Calls back with what is appended to a curve, or null once it has to be read again. */
  follow?(run: Run, curve: Curve, onMore: (more: Points | null) => void): () => void;
  /** When the points of a curve of a request were logged, as Unix times; null where that is not known. */
  times?(request: CurvesRequest, run: Run, key: string, signal: AbortSignal): Promise<PointTimes>;
  /** Calls back when there may be other runs or metrics. */
  watchAll?(onChange: () => void): () => void;
}

type Entry = CurvesDocument["records"][number];

export function catalogueOf(document: CurvesDocument): Catalogue {
  const names = new Map<string, number>();
  const prefixes = new Map<string, number>();
  for (const { name, prefix } of document.records) {
    names.set(name, (names.get(name) ?? 0) + 1);
    prefixes.set(prefix, (prefixes.get(prefix) ?? 0) + 1);
  }
  const folders = foldersOf(
    document.records.map((each) => ({ prefix: each.prefix, folder: each.dash_root })),
  );
  const runs = document.records.map((entry, number): Run => {
    const unique =
      names.get(entry.name) === 1
        ? entry.name
        : prefixes.get(entry.prefix) === 1
          ? entry.prefix
          : [entry.prefix, folders[number] && `in ${folders[number]}`, entry.experiment, entry.task]
              .filter(Boolean)
              .join(" ");
    return {
      id: unique,
      number,
      prefix: entry.prefix,
      root: entry.root,
      task: entry.task,
      status: entry.status,
      params: (entry.params ?? {}) as Record<string, unknown>,
      begin: entry.begin,
      ended: entry.ended,
      attempts: entry.attempts,
      metrics: new Set(entry.metrics ?? []),
    };
  });
  const metrics = (document.keys ?? []).map(({ key, series, records }) => ({ key, series, records }));
  return { runs, metrics, problems: document.problems };
}

/** The curves of a document, by the runs of a catalogue. */
export function curvesOf(document: CurvesDocument, runs: readonly Run[], attempt: number | null): Curve[] {
  const ids = new Map(runs.map((run) => [placeOf(run), run.id]));
  return document.records.flatMap((entry) => {
    const run = ids.get(placeOf(entry));
    if (run === undefined) return [];
    return entry.curves.map((curve): Curve => {
      const isSame = curve.min === null || curve.max === null;
      return {
        run,
        key: curve.key,
        attempt,
        x: numbers(curve.x),
        last: numbers(curve.last),
        min: isSame ? null : numbers(curve.min),
        max: isSame ? null : numbers(curve.max),
        total: curve.total,
        isNumbered: curve.numbered,
        position: Object.keys(curve.position).length ? curve.position : null,
      };
    });
  });
}

function placeOf({ root, prefix, task }: Pick<Entry, "root" | "prefix" | "task">): string {
  return `${root}\n${prefix}\n${task ?? ""}`;
}

function numbers(column: readonly (number | string | null)[] | null): Float64Array {
  const values = new Float64Array(column?.length ?? 0);
  for (const [index, value] of (column ?? []).entries()) values[index] = numberOf(value);
  return values;
}
