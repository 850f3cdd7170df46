// Generated from schemas/spec.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/spec` answers.
 */
export interface SpecDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.spec/1"
id: Id
/**
 * The revision.
 */
revision: number
/**
 * The latest revision.
 */
latest: number
/**
 * The file; null if it is not here.
 */
text: (string | null)
/**
 * Why it is not here.
 */
missing: (string | null)
/**
 * The resolved spec of the latest revision.
 */
resolved: ({

} | null)
}
