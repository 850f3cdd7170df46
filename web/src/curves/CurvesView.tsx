import { useMemo } from "preact/hooks";
import type { RecordAddress } from "../api/addresses";
import { navigate, route, withQuery } from "../app/route";
import { CurvesBoard } from "./CurvesBoard";
import type { CurvesSource } from "./model";
import { serverSource } from "./serverSource";
import { type CurveSettings, queryOf, settingsOf } from "./settings";

export interface CurvesProps {
  /** The records whose curves are laid over each other; one for its own metrics. */
  readonly records: readonly RecordAddress[];
}

export function CurvesView({ records }: CurvesProps) {
  const identity = JSON.stringify(records);
  const source = useMemo(() => serverSource({ records: JSON.parse(identity) }), [identity]);
  return <AddressedCurves source={source} />;
}

/** Curves whose settings are in the address. */
export function AddressedCurves({ source }: { source: CurvesSource }) {
  const settings = settingsOf(route.value.query);
  const change = (changed: CurveSettings, isPassing: boolean) =>
    navigate(withQuery(queryOf(changed)), { replace: isPassing });
  return <CurvesBoard source={source} settings={settings} onSettings={change} />;
}
