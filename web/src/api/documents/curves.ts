// Generated from schemas/curves.schema.json by "npm run types".

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
 * What `POST /v1/views/curves` answers.
 */
export interface CurvesDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.curves/1"
/**
 * The axis.
 */
axis: ("step" | "epoch" | "time" | "relative")
/**
 * The least position; null for all.
 */
from: (number | null)
/**
 * The largest position; null for all.
 */
to: (number | null)
/**
 * The largest number of points of a curve; 0 for no curves.
 */
points: number
/**
 * Which rows count: null for those that no later attempt supersedes, `all`, or those of an attempt.
 */
attempts: (number | string | null)
/**
 * The records in which a metric was logged.
 * 
 * Items: One record.
 */
records: {
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The word for its folder of records, which addresses take.
 */
root: string
/**
 * The task, or the prefix of an additional record.
 */
name: string
/**
 * The Unix time at which it was first opened; `relative` is 0 there.
 */
begin: number
/**
 * The Unix time at which it ended; null if it has not, or if that is not known.
 */
ended: (number | null)
/**
 * The numbers of its attempts.
 */
attempts: number[]
/**
 * Its params, and those of its experiment that it does not set itself, by dotted name; absent without `describe`.
 */
params?: {

}
/**
 * The keys of all its metrics; absent without `describe`.
 */
metrics?: string[]
/**
 * A curve for each requested metric that it has.
 * 
 * Items: One curve; its columns have an entry for each point.
 */
curves: {
/**
 * The key of the metric, unique among the metrics of all these records.
 */
key: string
/**
 * The series; null for the unnamed one.
 */
series: (string | null)
/**
 * The field.
 */
field: string
/**
 * The position of the last number of each point.
 * 
 * Items: A number; null for NaN.
 */
x: ((number | null) | ("Infinity" | "-Infinity"))[]
/**
 * The smallest number; null if each point is one number, `last`.
 */
min: (((number | null) | ("Infinity" | "-Infinity"))[] | null)
/**
 * The largest number; null if each point is one number.
 */
max: (((number | null) | ("Infinity" | "-Infinity"))[] | null)
/**
 * The last number.
 * 
 * Items: A number; null for NaN.
 */
last: ((number | null) | ("Infinity" | "-Infinity"))[]
/**
 * How many numbers of each point are NaN; null if none is, or if each point is one number.
 */
nan: (number[] | null)
/**
 * Whether points stand for more than one number.
 */
sampled: boolean
/**
 * How many numbers are in the window.
 */
total: number
/**
 * Whether rows lack the axis, so that the number of the row is the position.
 */
numbered: boolean
/**
 * Where they were asked for: the Unix time of the last number of each point; null if it is not known.
 */
times?: (number | null)[]
/**
 * How far the rows were read, by file: the rows, and those that count; a live stream continues from it.
 */
position: {
[k: string]: number[]
}
}[]
}[]
/**
 * All metrics of these records; absent without `describe`.
 * 
 * Items: One metric.
 */
keys?: {
/**
 * Its key.
 */
key: string
/**
 * The series; null for the unnamed one.
 */
series: (string | null)
/**
 * The field.
 */
field: string
/**
 * How many of the records have it.
 */
records: number
}[]
/**
 * How many further curves match; choose with `keys` or ask for fewer points.
 */
left_out: number
/**
 * Records that cannot be read, and why.
 */
problems: string[]
}
