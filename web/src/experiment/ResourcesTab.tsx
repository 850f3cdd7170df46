import type { TabProps } from "./tabs";

export function ResourcesTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
