// The curves of a report, which has no server to ask for finer ones.
import { type Curve, type CurvesSource, catalogueOf, curvesOf } from "../curves/model";
import { isWanted } from "../curves/settings";
import type { ReportData } from "./data";

export function reportSource(curves: ReportData["curves"]): CurvesSource {
  return {
    isAtHand: true,
    async describe() {
      const catalogue = catalogueOf(curves.step);
      const runs = catalogue.runs.map((run) => ({ ...run, attempts: run.attempts.slice(-1) }));
      return { ...catalogue, runs }; // superseded rows are not in the file, so none are offered
    },
    async load({ keys, axis, from, to, attempt }, runs) {
      if (attempt !== null) return [];
      const begins = new Map(runs.map((run) => [run.id, run.begin]));
      const known = new Set(curves.step.keys?.map(({ key }) => key));
      return curvesOf(curves[axis === "time" ? "relative" : axis], runs, null)
        .filter((curve) => isWanted(curve.key, keys, known))
        .map((curve) =>
          axis === "time" && !curve.isNumbered ? shifted(curve, begins.get(curve.run)) : curve,
        )
        .map((curve) => within(curve, from, to));
    },
  };
}

function shifted(curve: Curve, begin = 0): Curve {
  return { ...curve, x: curve.x.map((x) => x + begin) };
}

/** The points between two ends of the axis. */
function within(curve: Curve, from: number | null, to: number | null): Curve {
  if (from === null && to === null) return curve;
  const isInside = (_: number, index: number) => {
    const x = curve.x[index] ?? Number.NaN;
    return (from === null || x >= from) && (to === null || x <= to);
  };
  return {
    ...curve,
    x: curve.x.filter(isInside),
    last: curve.last.filter(isInside),
    min: curve.min?.filter(isInside) ?? null,
    max: curve.max?.filter(isInside) ?? null,
  };
}
