// Documents of tests: tasks with what matters to a test, the rest as it is at the beginning.
import type { StatusDocument } from "../api/documents/status";
import type { Task, TaskTimes } from "./tasks";

/** A task; a name with a slash is a member of the group before it. */
export function task(id: string, status: Task["status"], given: Partial<Task> = {}): Task {
  const group = id.includes("/") ? id.slice(0, id.indexOf("/")) : null;
  return {
    id,
    index: 0,
    status,
    executor: "local",
    type: "local",
    job_id: null,
    directory: null,
    attempt: 1,
    exit_code: null,
    group,
    reason: null,
    message: null,
    created: null,
    started: null,
    ended: null,
    duration: null,
    dependencies: [],
    outputs: {},
    evidence: null,
    ...given,
  };
}

/** An experiment of these tasks, in their order. */
export function experiment(tasks: readonly Task[], given: Partial<StatusDocument> = {}): StatusDocument {
  const counts: Record<string, number> = {};
  for (const each of tasks) counts[each.status] = (counts[each.status] ?? 0) + 1;
  return {
    schema: "exp.status/1",
    id: "study_1",
    name: "study",
    status: "RUNNING",
    directory: "/x",
    created: null,
    started: "2026-01-01T00:00:00.000Z",
    ended: null,
    key: null,
    prefix: null,
    description: null,
    tags: [],
    bindrs: [],
    not_observed: null,
    supervisor: { state: "alive", pid: 1, host: "box", problem: null },
    counts,
    tasks: tasks.map((each, index) => ({ ...each, index })),
    ...given,
  };
}

/** A time so many seconds after the start of all. */
export function time(seconds: number): string {
  return new Date(Date.UTC(2026, 0, 1) + seconds * 1_000).toISOString();
}

/** Attempts as [waits since, started, ended, status] in seconds. */
export function times(
  id: string,
  attempts: readonly [number, number | null, number | null, Task["status"]][],
  waits: number | null = null,
): TaskTimes {
  return {
    id,
    waits_since: waits === null ? null : time(waits),
    error: null,
    streams: ["log"],
    attempts: attempts.map(([since, started, ended, status], index) => ({
      attempt: index + 1,
      status,
      waits_since: time(since),
      submitted: time(since),
      started: started === null ? null : time(started),
      ended: ended === null ? null : time(ended),
    })),
  };
}
