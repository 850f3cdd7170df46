// Generated from schemas/tag.schema.json by "npm run types".

/**
 * What `exp tag --json` prints.
 */
export interface TagDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.tag/1"
/**
 * The experiment; null for a record.
 */
id: (string | null)
/**
 * The prefix of a record; null for an experiment.
 */
prefix: (string | null)
/**
 * The tags that it has now.
 */
tags: string[]
/**
 * The tags that it did not have before.
 */
added: string[]
/**
 * The tags that it had before, and that were removed.
 */
removed: string[]
}
