// What is known of a record for a comparison: its params, results, environment and repository.
import { useEffect, useState } from "preact/hooks";
import { type RecordAddress, recordDocument, recordText } from "../api/addresses";
import { send } from "../api/client";
import { watch } from "../live/live";
import { parseExactly } from "../sweep/exactNumbers";
import type { Values } from "./compared";

export interface RecordFacts {
  readonly address: RecordAddress;
  /** The path of the folder of records in which it is. */
  readonly folder: string;
  readonly status: string;
  readonly params: Values;
  readonly nested: Values;
  /** The last value of each metric. */
  readonly result: Values;
  readonly environment: Values;
  readonly packages: Values;
  readonly git: Values;
  /** What was not committed; null if that is not known. */
  readonly diff: string | null;
}

interface Exact {
  readonly records: readonly { dash_root: string; status: string; params: Values; nested: Values }[];
  readonly series: readonly { name: string | null; statistics: Readonly<Record<string, Values>> }[];
  readonly openings: readonly {
    id: string;
    git: Values | null;
    packages: Values;
    diff: string | null;
    facts: Values;
  }[];
}

/** Facts of an opening that differ between any two, or are shown elsewhere. */
const UNSHOWN = new Set(
  "event format id time prefix locked exp_id task attempt rank pid process_started boot home author supervised git packages description tags bindrs metadata owner token environment".split(
    " ",
  ),
);

export async function factsOf(address: RecordAddress, signal: AbortSignal): Promise<RecordFacts> {
  const load = async (view: string) =>
    parseExactly(await (await send(recordDocument(address, view), { signal })).text()) as Exact;
  const [params, metrics, environment, openings] = await Promise.all([
    load("params"),
    load("metrics"),
    load("environment"),
    load("openings"),
  ]);
  const own = params.records[0];
  const result: Record<string, unknown> = {};
  for (const series of metrics.series) {
    for (const [field, statistics] of Object.entries(series.statistics)) {
      result[series.name === null ? field : `${series.name}/${field}`] = statistics.last;
    }
  }
  const ofProgram = environment.openings.filter(
    (opening) => opening.git || opening.diff || Object.keys(opening.packages).length,
  );
  const last = ofProgram.at(-1) ?? environment.openings.at(-1);
  const facts = openings.openings.find((opening) => opening.id === last?.id)?.facts ?? {};
  return {
    address,
    folder: own?.dash_root ?? "",
    status: own?.status ?? "",
    params: own?.params ?? {},
    nested: own?.nested ?? {},
    result,
    environment: Object.fromEntries(
      Object.entries(facts).filter(([name, value]) => !UNSHOWN.has(name) && value !== null),
    ),
    packages: last?.packages ?? {},
    git: last?.git ?? {},
    diff: last?.diff ?? null,
  };
}

export interface LoadedFacts {
  readonly facts: readonly RecordFacts[];
  /** By record, as `problemOf` names it. */
  readonly problems: readonly { address: RecordAddress; error: unknown }[];
  readonly isBusy: boolean;
}

/** The facts of records, asked for again when one changes. */
export function useRecordFacts(records: readonly RecordAddress[]): LoadedFacts {
  const key = JSON.stringify(records);
  const [state, setState] = useState<LoadedFacts & { key: string }>({
    facts: [],
    problems: [],
    isBusy: true,
    key: "",
  });
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      const loaded = await Promise.allSettled(records.map((record) => factsOf(record, stop.signal)));
      if (stop.signal.aborted) return;
      setState({
        key,
        isBusy: false,
        facts: loaded.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])),
        problems: loaded.flatMap((each, index) =>
          each.status === "rejected"
            ? [{ address: records[index] as RecordAddress, error: each.reason as unknown }]
            : [],
        ),
      });
    };
    load();
    const ends = records
      .slice(0, MOST_WATCHED)
      .map((record) => watch(`record:${recordText(record)}`, { onChange: load }));
    return () => {
      stop.abort();
      for (const end of ends) end();
    };
  }, [key]);
  return { ...state, isBusy: state.key !== key };
}

const MOST_WATCHED = 8; // records that are followed live
