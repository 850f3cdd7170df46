import type { RecordAddress } from "../api/addresses";
import { LabelActions } from "./LabelActions";
import type { Notes } from "./LabelDialogs";
import { recordAction } from "./useAction";

export interface RecordActionsProps {
  readonly record: RecordAddress;
  readonly status: string;
  readonly tags: readonly string[];
  readonly notes: Notes;
}

/** What the user may do with a record. */
export function RecordActions({ record, status, tags, notes }: RecordActionsProps) {
  return (
    <LabelActions
      name={record.prefix}
      kind="record"
      pathOf={(action) => recordAction(record, action)}
      tags={tags}
      notes={notes}
      isKept={status === "RUNNING" ? "What runs is not removed." : null}
      list="/records"
    />
  );
}
