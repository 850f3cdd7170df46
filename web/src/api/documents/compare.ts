// Generated from schemas/compare.schema.json by "npm run types".

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
 * A number; values that are not finite are strings, because JSON cannot represent them.
 */
export type Number = (number | ("NaN" | "Infinity" | "-Infinity"))

/**
 * What `exp compare --json` prints.
 */
export interface CompareDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.compare/1"
/**
 * The params whose values differ between rows.
 */
differing: string[]
/**
 * The selected rows, in the requested order.
 * 
 * Items: One record.
 */
rows: {
prefix: PrefixOfRecord
dash_root: DashRoot
/**
 * From a server: the word for its folder of records, as the parameter `root` takes it.
 */
root?: string
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * Its params, and those of its experiment that it does not set itself, by dotted name.
 */
params: {

}
/**
 * A summary of each metric, by series and field: train/loss.
 */
metrics: {
[k: string]: Statistics
}
}[]
/**
 * From a server: the keys of the metrics to show.
 */
columns?: string[]
/**
 * From a server: what the conditions could also have meant.
 */
notes?: string[]
/**
 * From a server: records that cannot be read, and why.
 */
problems?: string[]
/**
 * How the best row was chosen; null without `--best`. `rows` is empty if none qualified.
 */
best?: ({
/**
 * The metric, with the aggregate that was compared: train/loss:min; without one, the last value.
 */
metric: string
/**
 * Which values are better.
 */
goal: ("minimize" | "maximize")
} | null)
/**
 * The other rows that are as good as the best one; of equal rows the first wins.
 */
ties?: ComparedRow[]
/**
 * The rows that could not be the best.
 * 
 * Items: One row, and why it could not.
 */
excluded?: {
prefix: PrefixOfRecord
task: TaskOfRecord
experiment: ExperimentOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * Its status is not COMPLETED; it was pruned; it does not have the metric; or the last or the compared value is NaN or infinite.
 */
reason: ("status" | "pruned" | "missing" | "not_finite")
/**
 * The same as text for people.
 */
message: string
}[]
/**
 * The params by which the rows are grouped; only with `--group-by`, like all that follow.
 */
group_by?: string[]
/**
 * The params whose values differ within a group.
 */
over?: string[]
/**
 * The groups, in the requested order; `rows` has their members.
 */
groups?: ComparedGroup[]
/**
 * The other groups that are as good as the best one.
 */
group_ties?: ComparedGroup[]
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
/**
 * What identifies a row.
 */
export interface ComparedRow {
prefix: PrefixOfRecord
task: TaskOfRecord
experiment: ExperimentOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
}
/**
 * The rows with the same values of the grouping params.
 */
export interface ComparedGroup {
/**
 * The task, or the sweep of whose members these are; null for records of programs, or with `--over task`.
 */
task: (string | null)
/**
 * The values of the grouping params.
 */
params: {

}
/**
 * The number of members.
 */
runs: number
/**
 * The number of members in each status.
 */
counts: {
[k: string]: number
}
/**
 * The rows of the group.
 */
members: ComparedRow[]
/**
 * The spread of each metric, by the title of its column.
 */
metrics: {
/**
 * The spread of one metric.
 */
[k: string]: {
/**
 * The mean of the finite values; null without one.
 */
mean: (Number | null)
/**
 * The sample standard deviation, with n - 1, of the finite values; null for fewer than two.
 */
std: (Number | null)
/**
 * The number of finite values.
 */
n: number
/**
 * The number of values that are NaN or infinite.
 */
not_finite: number
/**
 * The number of members without the metric.
 */
missing: number
}
}
}
