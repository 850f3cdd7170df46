// Generated from schemas/timeline.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The task's id; the id of a member begins with the id of its group.
 */
export type TaskId = string
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * The status of a task.
 */
export type TaskStatus = ("PENDING" | "SUBMITTED" | "RUNNING" | "UNKNOWN" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "SKIPPED")
/**
 * When it ended.
 */
export type EndedTime = (Time | null)

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/timeline` answers.
 */
export interface TimelineDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.timeline/1"
id: Id
/**
 * When this was looked at, by the clock of the server.
 */
seen: string
/**
 * Who created the experiment.
 */
created_by: (string | null)
/**
 * The host of its first supervisor.
 */
host: (string | null)
/**
 * The experiment that it repeats.
 */
rerun_of: (string | null)
/**
 * The revision of its spec.
 */
revision: number
/**
 * How many tasks may run at once on its machine; null for the number of its CPUs.
 */
max_parallel: (number | null)
/**
 * The number of events in its ledger.
 */
events: number
/**
 * The number of records that its tasks wrote.
 */
records: number
/**
 * The tasks in the order of the spec.
 * 
 * Items: One task.
 */
tasks: {
id: TaskId
/**
 * Since when it waits, with its dependencies over, for its next attempt; null if it does not.
 */
waits_since: (Time | null)
/**
 * The line of its log that most likely shows the error, of one that is FAILED; null if not known. Secrets are masked.
 */
error: (string | null)
/**
 * What is written apart of its output: `log`, `stderr`, `backend-output`; empty before its first attempt.
 */
streams: string[]
/**
 * All attempts, the oldest first.
 * 
 * Items: A submitted attempt.
 */
attempts: {
/**
 * Its number, from 1.
 */
attempt: number
status: TaskStatus
/**
 * Since when it could have started: since the end of its dependencies, of the attempt before, or the resume.
 */
waits_since: (Time | null)
/**
 * When it was submitted to its executor.
 */
submitted: (Time | null)
/**
 * When it started.
 */
started: (Time | null)
ended: EndedTime
}[]
}[]
}
