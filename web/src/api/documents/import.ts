// Generated from schemas/import.schema.json by "npm run types".

/**
 * What could not be taken over.
 * 
 * Items: One thing.
 */
export type LeftOut = {
/**
 * The file and line, or the part of the record.
 */
where: string
/**
 * Why.
 */
reason: string
}[]

/**
 * What `exp records import --json` prints.
 */
export interface ImportDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.import/1"
/**
 * The folder or the address of the server.
 */
source: string
/**
 * The folder of the records here.
 */
dash_root: string
/**
 * Whether nothing was written.
 */
is_dry: boolean
/**
 * The records, in the order in which they were read.
 * 
 * Items: One record.
 */
records: {
/**
 * Its prefix here.
 */
prefix: string
/**
 * Its folder, or its address on the server.
 */
origin: string
/**
 * The status that it has here; null if it could not be taken over.
 */
status: (string | null)
/**
 * Whether it was not here before.
 */
is_new: boolean
/**
 * How much was added.
 */
added: {
/**
 * Params with a new value.
 */
params: number
/**
 * Lines of the log.
 */
logs: number
/**
 * Rows of metrics.
 */
metrics: number
/**
 * Entries of tracks.
 */
tracks: number
/**
 * Versions of files.
 */
files: number
}
left_out: LeftOut
}[]
left_out: LeftOut
}
