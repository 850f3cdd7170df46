// The tabs of an experiment, in their order. Each is loaded on use.
import type { ComponentType } from "preact";
import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import type { TimelineDocument } from "../api/documents/timeline";
import { count } from "../ui/format";

export interface TabProps {
  readonly experiment: ExperimentAddress;
  /** The latest status; a tab asks for what else it shows. */
  readonly status: StatusDocument;
  /** When its attempts waited and ran; null until it is there. */
  readonly timeline?: TimelineDocument | null;
}

export interface Tab {
  /** In the query, as `tab`. */
  readonly name: string;
  readonly label: string;
  readonly load: () => Promise<ComponentType<TabProps>>;
}

export const TABS: readonly Tab[] = [
  { name: "tasks", label: "Tasks", load: () => import("./TasksTab").then((part) => part.TasksTab) },
  {
    name: "curves",
    label: "Curves",
    load: () => import("../curves/CurvesTab").then((part) => part.CurvesTab),
  },
  { name: "sweep", label: "Sweep", load: () => import("../sweep/SweepTab").then((part) => part.SweepTab) },
  {
    name: "params",
    label: "Params",
    load: () => import("../compare/ParamsTab").then((part) => part.ParamsTab),
  },
  { name: "files", label: "Files", load: () => import("../files/FilesTab").then((part) => part.FilesTab) },
  {
    name: "resources",
    label: "Resources",
    load: () => import("./ResourcesTab").then((part) => part.ResourcesTab),
  },
  { name: "spec", label: "Spec", load: () => import("./SpecTab").then((part) => part.SpecTab) },
  { name: "events", label: "Events", load: () => import("./EventsTab").then((part) => part.EventsTab) },
];

/** The tabs that have something, each with its count; those that need records are there until it is known. */
export function shownTabs(
  status: StatusDocument,
  timeline: TimelineDocument | null,
): (Tab & { readonly count: string })[] {
  const records = timeline?.records;
  const hasRecords = records === undefined || records > 0;
  const sweeps = status.sweeps ?? [];
  const counts: Readonly<Record<string, string | null>> = {
    tasks: count(status.tasks.length),
    curves: hasRecords ? (records === undefined ? "" : count(records)) : null,
    sweep:
      sweeps.length && (hasRecords || status.searches?.length)
        ? sweeps.length === 1
          ? (sweeps[0]?.id ?? "")
          : count(sweeps.length)
        : null,
    params: hasRecords ? "" : null,
    files: hasRecords ? "" : null,
    resources: status.tasks.some((task) => task.usage || hasAny(task.resources)) ? "" : null,
    spec: "",
    events: timeline ? count(timeline.events) : "",
  };
  return TABS.flatMap((tab) => {
    const said = counts[tab.name];
    return said === null || said === undefined ? [] : [{ ...tab, count: said }];
  });
}

function hasAny(value: object | undefined): boolean {
  return value !== undefined && Object.keys(value).length > 0;
}
