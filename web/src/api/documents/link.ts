// Generated from schemas/link.schema.json by "npm run types".

/**
 * What `POST /v1/link` and `POST /v1/views/records/PREFIX/.record/contents/SHA256/link` answer.
 */
export interface LinkDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.link/1"
/**
 * An address that needs no token, valid for a minute.
 */
href: string
}
