// Generated from schemas/check.schema.json by "npm run types".

/**
 * What `exp serve check --json` prints.
 */
export interface CheckDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.check/1"
/**
 * The folder of the replicas.
 */
root: string
/**
 * Whether no problem was found.
 */
is_sound: boolean
/**
 * The number of records.
 */
records: number
/**
 * The number of experiments.
 */
experiments: number
/**
 * The number of their files.
 */
files: number
/**
 * The size of their files.
 */
bytes: number
/**
 * The problems found, in the order of their paths.
 * 
 * Items: One problem.
 */
problems: {
/**
 * What is wrong.
 */
kind: ("content" | "missing" | "row" | "ledger" | "document" | "foreign" | "link" | "shared" | "unreadable")
/**
 * The file, below the folder of the replicas.
 */
path: string
/**
 * The same as text for users.
 */
message: string
/**
 * What to do.
 */
remedy: string
}[]
/**
 * What records that have not ended name, and what is not here yet, or lost.
 * 
 * Items: One note.
 */
notes: {
/**
 * What is wrong.
 */
kind: ("content" | "missing" | "row" | "ledger" | "document" | "foreign" | "link" | "shared" | "unreadable")
/**
 * The file, below the folder of the replicas.
 */
path: string
/**
 * The same as text for users.
 */
message: string
/**
 * What to do.
 */
remedy: string
}[]
}
