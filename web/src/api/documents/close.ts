// Generated from schemas/close.schema.json by "npm run types".

/**
 * The path of the record in dash_root.
 */
export type PrefixOfRecord = string
/**
 * The folder of all records.
 */
export type DashRoot = string

/**
 * What `exp close --json` prints.
 */
export interface CloseDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.close/1"
/**
 * The selected records.
 * 
 * Items: A record.
 */
records: {
prefix: PrefixOfRecord
dash_root: DashRoot
/**
 * Its status now.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The openings that were closed; none if all had ended.
 */
openings: string[]
}[]
}
