// Generated from schemas/record-log.schema.json by "npm run types".

/**
 * The path of the record in dash_root.
 */
export type PrefixOfRecord = string
/**
 * The folder of all records.
 */
export type DashRoot = string
/**
 * The experiment that wrote this part; null for the whole record.
 */
export type ExperimentOfRecord = (string | null)
/**
 * The task that wrote this part; null for a record of the experiment itself or of several tasks.
 */
export type TaskOfRecord = (string | null)

/**
 * What `GET /v1/views/records/PREFIX/.record/logs` answers.
 */
export interface RecordLogDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.record-log/1"
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The lines, the oldest first.
 * 
 * Items: One line.
 */
lines: {
/**
 * The Unix time.
 */
_ts: number
/**
 * The level.
 */
level: ("debug" | "info" | "warn" | "error" | "fatal")
/**
 * The text.
 */
message: string
/**
 * Further fields.
 */
metadata?: {
[k: string]: unknown
}
}[]
/**
 * How many lines match; `lines` has the last of them.
 */
total?: number
}
