// Resources as words: what a task asked for, and what it used.
import type { StatusDocument } from "../api/documents/status";
import { bytes, duration } from "../ui/format";

type Task = StatusDocument["tasks"][number];

/** `65.6 MB, CPU 12s`; empty if nothing was measured. */
export function usageText(usage: Task["usage"]): string {
  if (!usage) return "";
  return [
    ...(usage.memory === undefined ? [] : [bytes(usage.memory)]),
    ...(usage.cpu === undefined ? [] : [`CPU ${seconds(usage.cpu)}`]),
    ...(usage.gpu_memory === undefined ? [] : [`GPU ${bytes(usage.gpu_memory)}`]),
  ].join(", ");
}

/** CPU time: with a decimal below ten seconds, since many tasks take no longer. */
export function seconds(value: number): string {
  return value < 10 ? `${value.toFixed(1)}s` : duration(value);
}

/** How many CPUs were busy on average; null if it is not known. */
export function busy(task: Task): number | null {
  const cpu = task.usage?.cpu;
  return cpu === undefined || !task.duration ? null : cpu / task.duration;
}
