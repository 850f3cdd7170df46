// Generated from schemas/tracks.schema.json by "npm run types".

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
 * What `GET /v1/views/records/PREFIX/.record/tracks` answers.
 */
export interface TracksDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.tracks/1"
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * All topics.
 */
topics: string[]
/**
 * The one that was asked for.
 */
topic: (string | null)
/**
 * How many entries it has.
 */
count: (number | null)
/**
 * Its last entries.
 */
entries: ({

}[] | null)
/**
 * The fields of its entries, in the order in which they occur.
 */
columns?: (string[] | null)
/**
 * The Unix time of its earliest entry.
 */
first?: (number | null)
/**
 * The Unix time of its latest entry.
 */
last?: (number | null)
}
