// Generated from schemas/record-view.schema.json by "npm run types".

/**
 * The folder of all records.
 */
export type DashRoot = string

/**
 * What `GET /v1/views/records/PREFIX/.record` answers.
 */
export interface RecordViewDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.record-view/1"
/**
 * The word for its folder of records, as the parameter `root` takes it.
 */
root: string
/**
 * As in exp.records/1.
 */
record: {

}
/**
 * The numbers of its attempts.
 */
attempts: number[]
/**
 * The names of its series of metrics; null is the unnamed one.
 */
series: (string | null)[]
/**
 * The topics of its tracks.
 */
tracks: string[]
/**
 * The size of all its files.
 */
bytes: number
/**
 * Openings that contain only an incomplete line.
 * 
 * Items: One.
 */
torn: {
/**
 * The name of its file.
 */
path: string
/**
 * Its size.
 */
bytes: number
}[]
/**
 * How much it has.
 */
counts?: {
/**
 * Params.
 */
params: number
/**
 * Fields of its series of metrics.
 */
metrics: number
/**
 * Lines of its log.
 */
logs: number
/**
 * Files that are not deleted, each once.
 */
files: number
/**
 * Topics of its tracks.
 */
tracks: number
}
/**
 * The contents of the latest versions of its files that have not arrived.
 */
not_here?: {
/**
 * How many files.
 */
files: number
/**
 * Their size.
 */
bytes: number
}
/**
 * Other folders of records that have one with this prefix.
 * 
 * Items: One.
 */
elsewhere?: {
/**
 * The word for it, as the parameter `root` takes it.
 */
root: string
dash_root: DashRoot
}[]
/**
 * The fields of its metrics with values that are no numbers, such as lists, mappings and texts.
 * 
 * Items: One.
 */
others?: {
/**
 * Its series; null is the unnamed one.
 */
series: (string | null)
/**
 * Its name.
 */
field: string
/**
 * The bytes of a row of the series, on average.
 */
row_bytes?: number
}[]
}
