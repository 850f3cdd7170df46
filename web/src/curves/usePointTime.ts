import { useEffect, useState } from "preact/hooks";
import type { TipColumns } from "./CursorTip";
import type { Line } from "./lines";
import { nearest } from "./lookup";
import type { PointTimes } from "./model";

const PAUSE = 150; // milliseconds that the cursor stays on a line until its times are asked for

interface Known {
  readonly name: string;
  readonly x: Float64Array;
  readonly found: PointTimes;
}

/** When the point of a line at a position was logged, as a Unix time; null while it is not known. */
export function usePointTime(columns: TipColumns, key: string, line: Line | null, at: number): number | null {
  const [known, setKnown] = useState<Known | null>(null);
  const own = columns.timesOf && line?.runs.length === 1 && line.attempt === null ? line : null;
  const name = own && `${key}\n${own.id}`;
  const x = own?.x;
  useEffect(() => {
    if (!own || !x || !name || (known?.name === name && known.x === x)) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      columns.timesOf?.(key, own, stop.signal).then(
        (found) => setKnown({ name, x, found }),
        () => {}, // the tip is complete without it
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [name, x]);
  if (!known || known.name !== name) return null;
  const index = nearest(known.found.x, at);
  return known.found.x[index] === at ? (known.found.times[index] ?? null) : null;
}
