// Generated from schemas/environment.schema.json by "npm run types".

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
 * What `GET /v1/views/records/PREFIX/.record/environment` answers.
 */
export interface EnvironmentDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.environment/1"
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
 * Items: What one ran in.
 */
openings: {
/**
 * Its id.
 */
id: string
/**
 * The state of its repository.
 */
git: ({

} | null)
/**
 * The versions of the packages that it could import.
 */
packages: {
[k: string]: string
}
/**
 * Its uncommitted changes.
 */
diff: (string | null)
}[]
}
