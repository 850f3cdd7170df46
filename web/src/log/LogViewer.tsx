import { Part } from "../ui/Part";
import type { LogProps } from "./LogPanel";

export type { LogProps } from "./LogPanel";

export const loadLog = () => import("./LogPanel").then((part) => part.LogPanel);

/** The log of an attempt: live while it runs, at its error if it failed. It fills what contains it. */
export function LogViewer(props: LogProps) {
  return <Part load={loadLog} {...props} />;
}
