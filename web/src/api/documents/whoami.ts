// Generated from schemas/whoami.schema.json by "npm run types".

/**
 * What the token allows.
 */
export type ScopesOfToken = ("read" | "write" | "control")[]
/**
 * Globs of the prefixes that it may write.
 */
export type PrefixesOfToken = string[]
/**
 * When it expires; null for never.
 */
export type ExpiryOfToken = (Time | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string

/**
 * What `exp whoami --json` prints, and what `GET /v1/whoami` answers.
 */
export interface WhoamiDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema?: "exp.whoami/1"
/**
 * From the server, instead of `schema`.
 */
format?: "exp.whoami/1"
/**
 * From `exp whoami`: the address of the server.
 */
server?: string
/**
 * From `exp whoami`: where the token is from.
 */
source?: ("EXP_TOKEN" | "EXP_TOKEN_FILE" | "keyring" | "file")
/**
 * The user of the token.
 */
user: string
scopes: ScopesOfToken
prefixes: PrefixesOfToken
expires: ExpiryOfToken
/**
 * From the server: whether it lets this token act on its experiments, as with `POST /v1/control/…`.
 */
controls?: boolean
}
