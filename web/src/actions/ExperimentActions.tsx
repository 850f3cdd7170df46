import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";

export interface ActionsProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
}

/** What the user may do with an experiment; nothing without the scope `control`. */
export function ExperimentActions({ status }: ActionsProps) {
  return <span hidden>{status.id}</span>;
}
