// Generated from schemas/heard.schema.json by "npm run types".

/**
 * What `POST /v1/heard` answers.
 */
export interface HeardDocument {
/**
 * The document type and its version; later releases may add fields.
 */
format: "exp.heard/1"
/**
 * The server's time, UTC.
 */
time: string
/**
 * Seconds by which the clock of the sender is ahead.
 */
skew: number
/**
 * How many entries were kept.
 */
kept: number
/**
 * How many were not, because the token may not write there.
 */
refused: number
}
