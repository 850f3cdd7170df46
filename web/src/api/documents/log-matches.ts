// Generated from schemas/log-matches.schema.json by "npm run types".

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/log/find` answers.
 */
export interface LogMatchesDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.log-matches/1"
/**
 * The task that wrote it.
 */
task: string
/**
 * The attempt that wrote it.
 */
attempt: number
/**
 * Which log.
 */
stream: ("log" | "stderr" | "backend-output")
/**
 * The bytes that were searched.
 */
size: number
/**
 * How often the text occurs.
 */
count: number
/**
 * How many matches are before the listed ones.
 */
first: number
/**
 * The matches next to the byte `around`, in order.
 * 
 * Items: One match.
 */
matches: {
/**
 * The number of its line.
 */
line: number
/**
 * The byte at which its line begins.
 */
offset: number
}[]
}
