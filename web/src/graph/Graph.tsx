import type { GraphDocument } from "../api/documents/graph";
import type { StatusDocument } from "../api/documents/status";

export interface GraphProps {
  readonly graph: GraphDocument;
  /** The tasks of `exp.status/1`: their statuses and times. */
  readonly tasks: StatusDocument["tasks"];
  /** The id of the picked task or group. */
  readonly picked: string | null;
  onPick(id: string): void;
}

export function Graph({ graph }: GraphProps) {
  return <p>{graph.nodes.length}</p>;
}
