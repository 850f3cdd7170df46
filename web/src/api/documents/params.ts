// Generated from schemas/params.schema.json by "npm run types".

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
 * What `exp params --json` prints.
 */
export interface ParamsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.params/1"
/**
 * The records, the experiment's own first.
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
 * Its params by dotted name.
 */
params: {

}
/**
 * The same as nested mappings.
 */
nested: {

}
}[]
}
