// Curves from the server: one request for many records and metrics.
import { type ExperimentAddress, experimentName, type RecordAddress, recordText } from "../api/addresses";
import { ask, send } from "../api/client";
import type { CurvesDocument } from "../api/documents/curves";
import { watch } from "../live/live";
import { parseExact } from "../ui/exactJson";
import { numberOf } from "./appended";
import {
  type Catalogue,
  type CurvesRequest,
  type CurvesSource,
  catalogueOf,
  curvesOf,
  type Run,
} from "./model";

const PATH = "/v1/views/curves";
const MOST_WATCHED = 12; // topics of a stream are few: with more runs, all are asked for at intervals
const INTERVAL = 5_000;

export interface Chosen {
  readonly experiments?: readonly ExperimentAddress[];
  readonly records?: readonly RecordAddress[];
}

export function serverSource({ experiments = [], records = [] }: Chosen): CurvesSource {
  const whose = {
    experiments: experiments.map(experimentName),
    records: records.map(({ prefix, root }) => (root ? { prefix, root } : { prefix })),
  };
  const post = (body: object, signal: AbortSignal) =>
    ask<CurvesDocument>(PATH, { method: "POST", body: { ...whose, ...body }, signal });
  let known: { text: string; catalogue: Catalogue } | null = null;
  return {
    async describe(signal) {
      const body = { ...whose, points: 0 };
      const text = await (await send(PATH, { method: "POST", body, signal })).text();
      // the same object while nothing has changed, so that nothing is drawn anew
      if (known?.text !== text)
        known = { text, catalogue: catalogueOf(parseExact(text) as unknown as CurvesDocument) };
      return known.catalogue;
    },
    async load(request: CurvesRequest, runs, signal) {
      return curvesOf(await post(bodyOf(request), signal), runs, request.attempt);
    },
    async times(request, run, key, signal) {
      const body = { ...bodyOf(request), keys: [key], only: [run.prefix], times: true };
      const { records } = await post(body, signal);
      const entry = records.find((each) => each.root === run.root && each.task === run.task);
      const found = entry?.curves.find((curve) => curve.key === key);
      return { x: Float64Array.from(found?.x ?? [], numberOf), times: found?.times ?? [] };
    },
    watch: (runs, onChange) => watchRuns(runs, onChange),
    follow({ prefix, root }, { key, position }, onMore) {
      const topic = `curve:${prefix}?${new URLSearchParams({ key, root })}`;
      return watch(topic, { position, onTail: ({ points = null }) => onMore(points) });
    },
    watchAll(onChange) {
      const ends = experiments.map((each) => watch(`experiment:${experimentName(each)}`, { onChange }));
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

function bodyOf(request: CurvesRequest) {
  return {
    keys: request.keys,
    x: request.axis,
    from: request.from,
    to: request.to,
    points: request.points,
    attempts: request.attempt,
    only: request.only ?? [],
    describe: false,
  };
}

/** Follows the runs that have not ended: by a topic each, or all at intervals. */
function watchRuns(runs: readonly Run[], onChange: (prefixes: readonly string[]) => void): () => void {
  const running = runs.filter((run) => run.status === "RUNNING");
  const prefixes = [...new Set(running.map((run) => run.prefix))];
  if (!prefixes.length) return () => {};
  if (prefixes.length > MOST_WATCHED) {
    const timer = setInterval(() => {
      if (!document.hidden) onChange(prefixes);
    }, INTERVAL);
    return () => clearInterval(timer);
  }
  const topics = new Map(running.map((run) => [`record:${recordText(run)}`, run.prefix]));
  const ends = [...topics].map(([topic, prefix]) => watch(topic, { onChange: () => onChange([prefix]) }));
  return () => {
    for (const end of ends) end();
  };
}
