import type { RecordAddress } from "../api/addresses";

export interface CurvesProps {
  /** The records whose curves are laid over each other; one for its own metrics. */
  readonly records: readonly RecordAddress[];
}

export function CurvesView({ records }: CurvesProps) {
  return <p>{records.length}</p>;
}
