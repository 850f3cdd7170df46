// The views by the first part of the path. Each is loaded on use but the first one.
import type { ComponentType } from "preact";
import { Experiments } from "../experiments/Experiments";

type Loader = () => Promise<ComponentType>;

export const FIRST_VIEW = Experiments;

export const VIEWS: Readonly<Record<string, Loader>> = {
  experiments: () => import("../experiment/ExperimentPage").then((part) => part.ExperimentPage),
  records: () => import("../records/RecordsView").then((part) => part.RecordsView),
  compare: () => import("../compare/CompareView").then((part) => part.CompareView),
  device: () => import("../device/DeviceView").then((part) => part.DeviceView),
};
