// Generated from schemas/log-outline.schema.json by "npm run types".

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/log/outline` answers.
 */
export interface LogOutlineDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.log-outline/1"
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
 * The existing logs of the attempt.
 * 
 * Items: One log.
 */
streams: {
/**
 * Its name.
 */
name: ("log" | "stderr" | "backend-output")
/**
 * Its bytes.
 */
size: number
}[]
/**
 * The bytes that are described.
 */
size: number
/**
 * The lines; an unfinished last one counts.
 */
lines: number
/**
 * The lines of some bytes, in order; the last one is the end.
 * 
 * Items: One of them.
 */
marks: {
/**
 * A byte.
 */
offset: number
/**
 * The line, from 1, that it belongs to.
 */
line: number
}[]
/**
 * The line that most likely explains a failure, else the end of the last traceback; null without one.
 */
error: ({
/**
 * Its number.
 */
line: number
/**
 * The byte at which it begins.
 */
offset: number
/**
 * Its text, as a terminal shows it.
 */
text: string
} | null)
/**
 * Whether nothing is added any more.
 */
over: boolean
/**
 * The status of the attempt; null if it has not been submitted.
 */
status: (string | null)
/**
 * Its exit code; null while it runs, or if it has none.
 */
exit_code: (number | null)
/**
 * When it started, in UTC; null if it has not.
 */
started: (string | null)
/**
 * When it ended, in UTC; null while it runs.
 */
ended: (string | null)
}
