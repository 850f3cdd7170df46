// The tabs of an experiment, in their order. Each is loaded on use.
import type { ComponentType } from "preact";
import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";

export interface TabProps {
  readonly experiment: ExperimentAddress;
  /** The latest status; a tab asks for what else it shows. */
  readonly status: StatusDocument;
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
  { name: "spec", label: "Spec", load: () => import("./SpecTab").then((part) => part.SpecTab) },
  { name: "events", label: "Events", load: () => import("./EventsTab").then((part) => part.EventsTab) },
];
