// Generated from schemas/token.schema.json by "npm run types".

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
 * What `exp serve token add`, `list` and `revoke` print with --json.
 */
export interface TokenDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.token/1"
/**
 * The new token, all tokens, or those that were revoked.
 * 
 * Items: A token.
 */
tokens: {
/**
 * The name of the token for `exp serve token revoke`.
 */
id: string
/**
 * The user of the token.
 */
user: string
scopes: ScopesOfToken
prefixes: PrefixesOfToken
/**
 * When it was made.
 */
created: string
expires: ExpiryOfToken
/**
 * The purpose of the token; may be empty.
 */
name: string
/**
 * When it was last used, within a minute; null for never.
 */
last_used: (Time | null)
/**
 * The id of the token that approved this login; null for a token that was added here.
 */
made_by?: (string | null)
/**
 * Whether its time has passed.
 */
is_expired: boolean
/**
 * Only from `add`: the token itself, which is not stored.
 */
token?: string
}[]
}
