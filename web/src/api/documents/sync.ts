// Generated from schemas/sync.schema.json by "npm run types".

/**
 * A time in UTC, with milliseconds.
 */
export type Time = string

/**
 * What `exp sync --json` prints.
 */
export interface SyncDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.sync/1"
/**
 * One for each folder of records, or home, and each of its servers.
 * 
 * Items: An outbox.
 */
outboxes: {
/**
 * The address of the server.
 */
url: string
/**
 * The folder of records, or the home.
 */
root: string
/**
 * How the delivery ended: `left` if the server does not take a part of it, `away` if the server does not answer, `refused` if it does not accept the token. With --status it is `delivered` or `left`.
 */
state: ("delivered" | "left" | "away" | "refused")
/**
 * How many bytes are not known to have arrived.
 */
bytes: number
/**
 * In how many files they are.
 */
files: number
/**
 * Whether a sender is at work.
 */
is_sending: boolean
/**
 * When the server last took something.
 */
last: (Time | null)
/**
 * Since when the oldest part is waiting.
 */
since: (Time | null)
/**
 * Why nothing arrives now; null if nothing is known to be wrong.
 */
error: (Problem | null)
/**
 * What is left of each record and experiment.
 * 
 * Items: A record or an experiment.
 */
entries: {
/**
 * The prefix of a record, or the folder of an experiment.
 */
name: string
/**
 * How many bytes are not known to have arrived.
 */
bytes: number
/**
 * In how many files they are.
 */
files: number
/**
 * Why a part of it does not arrive; null if nothing is known to be wrong.
 */
error: (Problem | null)
}[]
}[]
}
/**
 * A problem.
 */
export interface Problem {
/**
 * A word for programs, such as `away`, `unauthorized`, `forbidden`, `diverged`, `full`, `busy` or `not_an_exp_server`.
 */
code: string
/**
 * What is wrong.
 */
message: string
/**
 * Since when.
 */
since: (Time | null)
}
