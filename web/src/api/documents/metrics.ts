// Generated from schemas/metrics.schema.json by "npm run types".

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
 * What `exp metrics --json` prints; with --follow a further document with the new rows each time rows are added.
 */
export interface MetricsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.metrics/1"
/**
 * The requested series.
 * 
 * Items: One series of one record.
 */
series: {
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * Its name; null for the unnamed series.
 */
name: (string | null)
/**
 * The number of rows.
 */
count: number
/**
 * A summary of these rows, by field.
 */
statistics: {
[k: string]: Statistics
}
/**
 * The rows that count, in order: those that a later attempt superseded only with --attempt or --all-attempts.
 * 
 * Items: A row: its fields, and `_ts`, the Unix time at which it was logged. NaN and infinities are the strings NaN, Infinity and -Infinity. A logged field called `_attempt` or `_rank` has one more underscore here.
 */
rows: {
/**
 * Seconds.
 */
_ts: number
/**
 * The attempt of the task that logged it; outside of tasks the generation of the opening.
 */
_attempt: number
/**
 * The rank of its process in a job; null if unknown.
 */
_rank: (number | null)
/**
 * The value of a logged field.
 */
[k: string]: {
[k: string]: unknown
} | number | null
}[]
}[]
}
/**
 * A summary of the values of a field.
 */
export interface Statistics {
/**
 * The last value.
 */
last: (number | ("NaN" | "Infinity" | "-Infinity"))
/**
 * The smallest value.
 */
min: (number | ("NaN" | "Infinity" | "-Infinity"))
/**
 * The largest value.
 */
max: (number | ("NaN" | "Infinity" | "-Infinity"))
/**
 * The mean of the values.
 */
mean: (number | ("NaN" | "Infinity" | "-Infinity"))
/**
 * The number of values.
 */
count: number
/**
 * The number of NaN values, which are excluded from all other fields.
 */
nan: number
}
