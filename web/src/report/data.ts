// What is in the file of a report: documents of the commands, as they were when it was made.
import type { CurvesDocument } from "../api/documents/curves";
import type { GraphDocument } from "../api/documents/graph";
import type { SearchDocument } from "../api/documents/search";
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import type { WhyDocument } from "../api/documents/why";

export interface LogEnd {
  readonly task: string;
  readonly attempt: number;
  readonly status: string;
  readonly stream: "log" | "stderr";
  /** The lines with the terminal's sequences and carriage returns. */
  readonly text: string;
  /** The number of the first line; null if it is not known. */
  readonly first: number | null;
  /** Which of the lines most likely shows the error, from 0; null for none. */
  readonly error: number | null;
  /** Why it cannot be read; null if it can. */
  readonly problem: string | null;
}

export interface ReportData {
  readonly made: string;
  readonly version: string;
  readonly status: StatusDocument;
  readonly graph: GraphDocument;
  readonly timeline: TimelineDocument;
  readonly why: WhyDocument;
  readonly failures: NonNullable<WhyDocument["failures"]>;
  /** The searches, with all of their trials. */
  readonly searches: SearchDocument["searches"];
  readonly params: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, unknown>>;
  /** The versions of packages that its programs could import. */
  readonly packages: Readonly<Record<string, string>>;
  readonly curves: Readonly<Record<"step" | "epoch" | "relative", CurvesDocument>>;
  readonly logs: readonly LogEnd[];
  readonly logs_left_out: number;
  readonly logs_missing: string | null;
  readonly problems: readonly string[];
}

/** The data of this file. */
export function readData(): ReportData {
  const text = document.getElementById("data")?.textContent;
  if (!text) throw new Error("This file has no data.");
  return JSON.parse(text);
}
