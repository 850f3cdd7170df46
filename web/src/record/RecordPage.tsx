import type { RecordAddress } from "../api/addresses";

export function RecordPage({ record }: { record: RecordAddress }) {
  return <h1>{record.prefix}</h1>;
}
