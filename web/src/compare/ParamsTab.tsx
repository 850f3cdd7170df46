import type { TabProps } from "../experiment/tabs";

export function ParamsTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
