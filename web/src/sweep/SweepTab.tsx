import type { TabProps } from "../experiment/tabs";

export function SweepTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
