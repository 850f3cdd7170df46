import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";

/** What the dialogs about an experiment get. */
export interface DialogProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  /** The task or group that it is about; all of it without. */
  readonly task?: string | undefined;
  onLeave(): void;
}
