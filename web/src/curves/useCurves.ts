import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { extended } from "./appended";
import { Follower } from "./Follower";
import type { Axis, Catalogue, Curve, CurvesSource, Run } from "./model";
import type { Span } from "./ranges";

export interface DescribedState {
  readonly catalogue: Catalogue | null;
  readonly error: unknown;
  reload(): void;
}

/** The runs and metrics of a source; asked for again when they may have changed. */
export function useCatalogue(source: CurvesSource): DescribedState {
  const [state, setState] = useState<{
    source: CurvesSource | null;
    catalogue: Catalogue | null;
    error: unknown;
  }>({
    source: null,
    catalogue: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    source.describe(stop.signal).then(
      (catalogue) => setState({ source, catalogue, error: null }),
      (error) => {
        if (!stop.signal.aborted) {
          setState((before) => ({
            source,
            catalogue: before.source === source ? before.catalogue : null,
            error,
          }));
        }
      },
    );
    return () => stop.abort();
  }, [source, round]);
  const reload = () => setRound((before) => before + 1);
  useEffect(() => source.watchAll?.(reload), [source]);
  const { catalogue } = state;
  // a run that has logged nothing is not in the catalogue yet
  const isEmpty = state.source === source && catalogue !== null && !catalogue.runs.length;
  useEffect(() => {
    if (!isEmpty || !source.watchAll) return;
    const timer = setInterval(reload, 5_000);
    return () => clearInterval(timer);
  }, [isEmpty, source]);
  useEffect(() => {
    if (!catalogue || !source.watch) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = source.watch(catalogue.runs, () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        reload();
      }, DESCRIBED);
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [catalogue, source]);
  const isCurrent = state.source === source;
  return { catalogue: isCurrent ? catalogue : null, error: isCurrent ? state.error : null, reload };
}

export interface CurvesWanted {
  readonly runs: readonly Run[];
  readonly keys: readonly string[];
  readonly axis: Axis;
  readonly zoom: Span | null;
  readonly points: number;
  readonly hasAttempts: boolean;
}

export interface CurvesLoaded {
  /** The curves of a metric; those of the former window stay until the new ones have come. */
  of(key: string): readonly Curve[] | undefined;
  /** Whether these are the curves of the present window and axis. */
  isCurrent(key: string): boolean;
  readonly error: unknown;
  readonly isLoading: boolean;
  retry(): void;
}

interface Kept {
  readonly stamp: string;
  readonly curves: readonly Curve[];
}

const PAUSE = 120; // milliseconds between the last change of the window and its request
const OUTSIDE = 0.02; // of a window: so that lines reach its edges
const MOST_ATTEMPTS = 5;
const AGAIN = 3_000; // milliseconds until curves that could not be read are asked for again
const DESCRIBED = 10_000; // milliseconds between two questions whether a running program has other metrics

/** The curves of some metrics in a window, asked for once and again when their runs have new rows. */
export function useCurves(source: CurvesSource, wanted: CurvesWanted): CurvesLoaded {
  const kept = useRef(new Map<string, Kept>());
  const [version, setVersion] = useState(0);
  const [error, setError] = useState<unknown>(null);
  const [isLoading, setLoading] = useState(false);
  const [round, setRound] = useState(0);
  const { runs, keys, axis, zoom, points, hasAttempts } = wanted;
  const attempts = hasAttempts ? formerAttempts(runs) : [];
  const identity = runs.map((run) => `${run.root} ${run.prefix} ${run.task}`).join("\n");
  const stamp = JSON.stringify([axis, zoom, points, attempts, identity]);
  const asked = keys.join("\n");
  const latest = useRef({ wanted, stamp, attempts });
  latest.current = { wanted, stamp, attempts };
  useEffect(() => {
    void asked;
    void round;
    const missing = latest.current.wanted.keys.filter((key) => kept.current.get(key)?.stamp !== stamp);
    if (!missing.length) return;
    const stop = new AbortController();
    const isFirst = !kept.current.size;
    const timer = setTimeout(
      async () => {
        setLoading(true);
        try {
          const curves = await load(source, latest.current, missing, [], stop.signal);
          for (const key of missing) {
            kept.current.set(key, { stamp, curves: curves.filter((curve) => curve.key === key) });
          }
          setError(null);
          setVersion((before) => before + 1);
          setLoading(false);
        } catch (problem) {
          if (stop.signal.aborted) return;
          setError(problem);
          setLoading(false);
        }
      },
      isFirst ? 0 : PAUSE,
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, stamp, asked, round]);
  const follower = useRef<Follower | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    let changed = new Set<string>();
    let isAsking = false;
    let again: ReturnType<typeof setTimeout> | undefined;
    const refresh = async () => {
      if (isAsking || !changed.size) return;
      isAsking = true;
      clearTimeout(again);
      const only = [...changed];
      changed = new Set();
      const now = latest.current;
      const fresh = now.wanted.keys.filter((key) => kept.current.get(key)?.stamp === now.stamp);
      for (const key of kept.current.keys()) if (!fresh.includes(key)) kept.current.delete(key);
      try {
        const curves = fresh.length ? await load(source, now, fresh, only, stop.signal) : [];
        const ids = new Set(now.wanted.runs.filter((run) => only.includes(run.prefix)).map((run) => run.id));
        for (const key of fresh) {
          const before = kept.current.get(key);
          if (before?.stamp !== now.stamp) continue;
          const others = before.curves.filter((curve) => !ids.has(curve.run));
          kept.current.set(key, {
            stamp: now.stamp,
            curves: [...others, ...curves.filter((curve) => curve.key === key)],
          });
        }
        setError(null);
        setVersion((before) => before + 1);
      } catch (problem) {
        if (stop.signal.aborted) return;
        setError(problem);
        for (const prefix of only) changed.add(prefix);
        again = setTimeout(refresh, AGAIN);
        isAsking = false;
        return;
      }
      isAsking = false;
      refresh();
    };
    follower.current = new Follower(source, {
      append(key, run, more) {
        const { wanted: now, stamp: present } = latest.current;
        const before = kept.current.get(key);
        if (before?.stamp !== present) return true; // what is asked for now will have it
        const own = before.curves.find((curve) => curve.run === run.id && curve.attempt === null);
        const longer = own && extended(own, more, { ...windowOf(now), begin: run.begin });
        if (!longer) return false;
        if (longer === own) return true;
        const curves = before.curves.map((curve) => (curve === own ? longer : curve));
        kept.current.set(key, { stamp: present, curves });
        setVersion((former) => former + 1);
        return true;
      },
      reread(prefixes) {
        for (const prefix of prefixes) changed.add(prefix);
        refresh();
      },
    });
    return () => {
      stop.abort();
      clearTimeout(again);
      follower.current?.stop();
    };
  }, [source]);
  useEffect(() => {
    void version;
    const now = latest.current;
    const keysNow = now.wanted.keys.filter((key) => kept.current.get(key)?.stamp === now.stamp);
    follower.current?.update(now.wanted.runs, keysNow, (key, run) =>
      kept.current.get(key)?.curves.find((curve) => curve.run === run.id && curve.attempt === null),
    );
  }, [source, runs, stamp, asked, version]);
  return useMemo(() => {
    void version;
    return {
      of: (key: string) => kept.current.get(key)?.curves,
      isCurrent: (key: string) => kept.current.get(key)?.stamp === latest.current.stamp,
      error,
      isLoading,
      retry: () => setRound((before) => before + 1),
    };
  }, [version, error, isLoading]);
}

function formerAttempts(runs: readonly Run[]): number[] {
  const all = runs.flatMap((run) => run.attempts.filter((attempt) => attempt < Math.max(...run.attempts)));
  return [...new Set(all)].sort((left, right) => right - left).slice(0, MOST_ATTEMPTS);
}

/** The part of a request that says which window is drawn. */
export function windowOf({ zoom, axis, points }: Pick<CurvesWanted, "zoom" | "axis" | "points">) {
  const room = zoom ? (zoom.largest - zoom.least) * OUTSIDE : 0;
  return {
    axis,
    points,
    from: zoom ? zoom.least - room : null,
    to: zoom ? zoom.largest + room : null,
  };
}

async function load(
  source: CurvesSource,
  { wanted, attempts }: { wanted: CurvesWanted; attempts: readonly number[] },
  keys: readonly string[],
  only: readonly string[],
  signal: AbortSignal,
): Promise<Curve[]> {
  const { runs } = wanted;
  const request = { keys, ...windowOf(wanted), only };
  const [own = [], ...former] = await Promise.all(
    [null, ...attempts].map((attempt) => source.load({ ...request, attempt }, runs, signal)),
  );
  const latest = new Map(runs.map((run) => [run.id, Math.max(...run.attempts)]));
  const superseded = former.flat().filter((curve) => (curve.attempt ?? 0) < (latest.get(curve.run) ?? 0));
  return [...own, ...superseded];
}
