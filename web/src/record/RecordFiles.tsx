import { FilesView } from "../files/FilesView";
import type { RecordTabProps } from "./recordTabs";

/** The files of the record. */
export function RecordFiles({ record }: RecordTabProps) {
  return <FilesView records={[record]} />;
}
