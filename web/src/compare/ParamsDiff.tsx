import type { RecordAddress } from "../api/addresses";

export interface ParamsDiffProps {
  /** Two or more: their params, results and environments side by side. */
  readonly records: readonly RecordAddress[];
}

export function ParamsDiff({ records }: ParamsDiffProps) {
  return <p>{records.length}</p>;
}
