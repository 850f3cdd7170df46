import type { TabProps } from "../experiment/tabs";

export function FilesTab({ experiment }: TabProps) {
  return <p>{experiment.id}</p>;
}
