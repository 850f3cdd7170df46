// The tabs of a record, in their order. Each is loaded on use but the first one.
import type { ComponentType } from "preact";
import type { RecordAddress } from "../api/addresses";
import type { RecordViewDocument } from "../api/documents/record-view";
import type { RecordsDocument } from "../api/documents/records";
import { commandLine } from "../ui/quoting";

export type RecordEntry = RecordsDocument["records"][number];
type Counts = NonNullable<RecordViewDocument["counts"]>;

export interface RecordTabProps {
  readonly record: RecordAddress;
  readonly view: RecordViewDocument;
}

export interface RecordTab {
  /** In the query, as `tab`. */
  readonly name: string;
  readonly label: string;
  /** What its count is; null for none. */
  count(view: RecordViewDocument): number | null;
  /** The command that prints the same. */
  readonly command: "params" | "metrics" | "files" | "records";
  /** Left out while it has nothing. */
  readonly isOptional?: boolean;
  readonly load: () => Promise<ComponentType<RecordTabProps>>;
}

const of = (name: keyof Counts) => (view: RecordViewDocument) => view.counts?.[name] ?? null;
const none = () => null;

export const RECORD_TABS: readonly RecordTab[] = [
  {
    name: "params",
    label: "Params",
    count: of("params"),
    command: "params",
    load: () => import("./RecordParams").then((part) => part.RecordParams),
  },
  {
    name: "metrics",
    label: "Metrics",
    count: of("metrics"),
    command: "metrics",
    load: () => import("./RecordMetrics").then((part) => part.RecordMetrics),
  },
  {
    name: "logs",
    label: "Logs",
    count: of("logs"),
    command: "records",
    load: () => import("./RecordLogs").then((part) => part.RecordLogs),
  },
  {
    name: "files",
    label: "Files",
    count: of("files"),
    command: "files",
    load: () => import("./RecordFiles").then((part) => part.RecordFiles),
  },
  {
    name: "tracks",
    label: "Tracks",
    count: of("tracks"),
    command: "records",
    isOptional: true,
    load: () => import("./RecordTracks").then((part) => part.RecordTracks),
  },
  {
    name: "environment",
    label: "Environment",
    count: none,
    command: "records",
    load: () => import("./RecordEnvironment").then((part) => part.RecordEnvironment),
  },
  {
    name: "diff",
    label: "Git diff",
    count: none,
    command: "records",
    load: () => import("./RecordGitDiff").then((part) => part.RecordGitDiff),
  },
  {
    name: "openings",
    label: "Openings",
    count: (view) => entryOf(view).openings.length,
    command: "records",
    load: () => import("./RecordOpenings").then((part) => part.RecordOpenings),
  },
];

/** The record as lists of records have it. */
export function entryOf(view: RecordViewDocument): RecordEntry {
  return view.record as RecordEntry;
}

/** The command that prints the same, as it stands. */
export function recordCommand(command: RecordTab["command"], view: RecordViewDocument): string {
  const { prefix, dash_root } = entryOf(view);
  return commandLine("exp", command, prefix, "--dash-root", dash_root);
}
