import type { TabProps } from "./tabs";

export function SpecTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
