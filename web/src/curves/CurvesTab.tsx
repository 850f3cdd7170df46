import { useMemo } from "preact/hooks";
import { experimentName } from "../api/addresses";
import type { TabProps } from "../experiment/tabs";
import { AddressedCurves } from "./CurvesView";
import { serverSource } from "./serverSource";

/** The curves of all records of an experiment. */
export function CurvesTab({ experiment }: TabProps) {
  const name = experimentName(experiment);
  const source = useMemo(() => serverSource({ experiments: [experiment] }), [name]);
  return <AddressedCurves source={source} />;
}
