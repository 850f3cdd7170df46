// Generated from schemas/openings.schema.json by "npm run types".

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
 * What `GET /v1/views/records/PREFIX/.record/openings` answers.
 */
export interface OpeningsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.openings/1"
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The openings, the oldest first.
 * 
 * Items: One.
 */
openings: {
/**
 * Its id.
 */
id: string
/**
 * Its generation.
 */
generation: number
/**
 * Its attempt; outside of tasks its generation.
 */
attempt: number
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The source of its status, as in exp.records/1.
 */
state: ("alive" | "ended" | "gone" | "elsewhere" | "supervised")
/**
 * The reason of its status.
 */
reason: (string | null)
/**
 * The message.
 */
message: (string | null)
/**
 * When it began.
 */
opened: string
/**
 * When it ended.
 */
ended: (string | null)
/**
 * All that it recorded about its process.
 */
facts: {

}
}[]
}
