// What the address says about the picked task, its attempt, and what is unfolded.
import { route, withQuery } from "../app/route";

/** The id of the picked task or group; null before anybody picked one, the empty text if the panel was closed. */
export function pickedTask(): string | null {
  return route.value.query.get("task");
}

export function pickedAttempt(): number | null {
  const number = Number(route.value.query.get("attempt"));
  return Number.isInteger(number) && number > 0 ? number : null;
}

/** The address with another task picked. */
export function taskHref(task: string): string {
  return withQuery({ tab: null, task, attempt: null, show: null, line: null });
}

/** The address of the line of the error in the log that an excerpt of `exp why` is of. */
export function errorHref(task: string, log: { readonly path: string }): string {
  const show = log.path.endsWith("/stderr") ? "stderr" : null;
  return withQuery({ tab: null, task, attempt: null, show, line: "error" });
}

export interface Pinned {
  readonly task: string;
  readonly attempt: number | null;
}

export function pinned(): Pinned | null {
  const { query } = route.value;
  const task = query.get("pin");
  const attempt = Number(query.get("pin_attempt"));
  return task ? { task, attempt: Number.isInteger(attempt) && attempt > 0 ? attempt : null } : null;
}
