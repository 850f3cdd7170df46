import type { TabProps } from "./tabs";

export function EventsTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
