// Generated from schemas/files.schema.json by "npm run types".

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
 * Its tags.
 */
export type Tags = string[]

/**
 * What `exp files --json` prints.
 */
export interface FilesDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.files/1"
/**
 * The files, by record and name.
 * 
 * Items: One file.
 */
files: {
prefix: PrefixOfRecord
dash_root: DashRoot
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * Its path in the record.
 */
name: string
/**
 * The version of the file under this name, from 1.
 */
version: number
/**
 * From a server: the word for its folder of records, as the parameter `root` takes it.
 */
root?: string
/**
 * From a server: whether its content has arrived.
 */
here?: boolean
/**
 * Its size in bytes.
 */
bytes: number
/**
 * Its media type: that of the format it was saved in, else by its name.
 */
type: string
/**
 * The SHA-256 of its content.
 */
checksum: string
/**
 * When it was saved.
 */
saved: string
tags: Tags
/**
 * Its bindrs.
 */
bindrs: string[]
/**
 * A description for users.
 */
description: (string | null)
/**
 * Additional metadata.
 */
metadata: {
[k: string]: unknown
}
/**
 * The path of its content, which must not be modified.
 */
path: string
}[]
}
