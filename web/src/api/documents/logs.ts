// Generated from schemas/logs.schema.json by "npm run types".

/**
 * One line of `exp logs --json`.
 */
export interface LogsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.logs/1"
/**
 * The task that wrote it.
 */
task: string
/**
 * The attempt that wrote it.
 */
attempt: number
/**
 * The offset of the line in the log, in bytes.
 */
offset: number
/**
 * The line without its line ending; secrets are masked.
 */
text: string
}
