// Generated from schemas/error.schema.json by "npm run types".

/**
 * What to do about it.
 */
export type Hint = (string | null)

/**
 * What a command prints with --json when it fails.
 */
export interface ErrorDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.error/1"
/**
 * The exit code.
 */
code: number
/**
 * What is wrong.
 */
message: string
hint: Hint
/**
 * The problems of a spec, in the order of the file.
 * 
 * Items: One problem.
 */
problems: {
/**
 * The spec file, or the option that set the value.
 */
file: string
/**
 * From 1.
 */
line: (number | null)
/**
 * From 1.
 */
column: (number | null)
/**
 * The place in the spec.
 */
path: string
/**
 * What is wrong.
 */
message: string
hint: Hint
}[]
}
