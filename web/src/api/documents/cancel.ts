// Generated from schemas/cancel.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")

/**
 * What `exp cancel --json` prints once the cancelled tasks have terminated.
 */
export interface CancelDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.cancel/1"
id: Id
status: ExperimentStatus
/**
 * The selected tasks that had not finished before.
 * 
 * Items: One task.
 */
tasks: {
/**
 * Its id.
 */
id: string
/**
 * Its final status.
 */
status: ("PENDING" | "SUBMITTED" | "RUNNING" | "UNKNOWN" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "SKIPPED")
}[]
}
