// Generated from schemas/wait.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * When it ended.
 */
export type EndedTime = (Time | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string

/**
 * What `exp wait --json` prints; RUNNING if --timeout expired first.
 */
export interface WaitDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.wait/1"
id: Id
status: ExperimentStatus
ended: EndedTime
counts: Counts
}
/**
 * The number of tasks by status; statuses without tasks are omitted.
 */
export interface Counts {
[k: string]: number
}
