import type { TabProps } from "../experiment/tabs";

export function CurvesTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
