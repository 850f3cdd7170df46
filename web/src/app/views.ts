// The views by the first part of the path. Each is loaded on use but the lists, which are the first that is seen.
import type { ComponentType } from "preact";
import { Experiments } from "../experiments/Experiments";
import { Records } from "../records/Records";

type Loader = () => Promise<ComponentType>;

export const LISTS: Readonly<Record<string, ComponentType>> = { experiments: Experiments, records: Records };

export const VIEWS: Readonly<Record<string, Loader>> = {
  experiments: () => import("../experiment/ExperimentPage").then((part) => part.ExperimentPage),
  records: () => import("../record/RecordView").then((part) => part.RecordView),
  compare: () => import("../compare/CompareView").then((part) => part.CompareView),
  device: () => import("../device/DeviceView").then((part) => part.DeviceView),
};
