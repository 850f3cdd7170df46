// Generated from schemas/curve.schema.json by "npm run types".

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
 * What `GET /v1/views/records/PREFIX/.record/curve` answers.
 */
export interface CurveDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.curve/1"
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
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
 * The largest number of points of a curve.
 */
points: number
/**
 * Which rows count: null for those that no later attempt supersedes, `all`, or those of an attempt.
 */
attempts: (number | string | null)
/**
 * The Unix time at which the record was first opened; `relative` is 0 there.
 */
begin: number
/**
 * A curve for each metric.
 * 
 * Items: One curve; its columns have an entry for each point.
 */
curves: {
/**
 * The key of the metric, as in exp.compare/1.
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
 * The smallest number.
 * 
 * Items: A number; null for NaN.
 */
min: ((number | null) | ("Infinity" | "-Infinity"))[]
/**
 * The largest number.
 * 
 * Items: A number; null for NaN.
 */
max: ((number | null) | ("Infinity" | "-Infinity"))[]
/**
 * The last number.
 * 
 * Items: A number; null for NaN.
 */
last: ((number | null) | ("Infinity" | "-Infinity"))[]
/**
 * How many numbers each point stands for.
 */
count: number[]
/**
 * How many of these are NaN.
 */
nan: number[]
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
 * How far the rows were read, by file: the rows, and those that count; a live stream continues from it.
 */
position: {
[k: string]: number[]
}
}[]
/**
 * How many further metrics match; choose with `key`.
 */
left_out: number
}
