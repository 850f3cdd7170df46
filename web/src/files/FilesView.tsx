import type { RecordAddress } from "../api/addresses";

export interface FilesProps {
  readonly records: readonly RecordAddress[];
}

export function FilesView({ records }: FilesProps) {
  return <p>{records.length}</p>;
}
