import type { ExperimentAddress } from "../api/addresses";

export interface LogProps {
  readonly experiment: ExperimentAddress;
  readonly task: string;
  /** Its number; null for the latest. */
  readonly attempt: number | null;
  readonly stream?: "log" | "stderr" | "backend-output";
}

export function LogViewer({ task }: LogProps) {
  return <p>{task}</p>;
}
