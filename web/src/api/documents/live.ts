// Generated from schemas/live.schema.json by "npm run types".

/**
 * The first event of `GET /v1/live`, and what `POST /v1/live/STREAM` answers.
 */
export interface LiveDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.live/1"
/**
 * Its id.
 */
stream: string
/**
 * Its topics.
 */
topics: string[]
/**
 * Topics that do not exist, or that the token may not read, and why.
 */
errors: {
[k: string]: string
}
}
