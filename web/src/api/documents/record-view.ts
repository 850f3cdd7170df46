// Generated from schemas/record-view.schema.json by "npm run types".

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
}
