// Generated from schemas/fsck.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string

/**
 * What `exp fsck --json` prints.
 */
export interface FsckDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.fsck/1"
id: Id
/**
 * The ledger.
 */
ledger: string
/**
 * Whether the ledger is undamaged.
 */
is_sound: boolean
/**
 * Whether it was rebuilt.
 */
is_repaired: boolean
/**
 * The number of consistent events.
 */
events: number
/**
 * The number of readable events in damaged batches.
 */
doubtful: number
/**
 * The problems found.
 * 
 * Items: One finding.
 */
findings: {
/**
 * What is wrong.
 */
kind: ("damaged_line" | "no_beginning" | "illegal_move" | "unknown_attempt" | "different_end" | "lost_suggestion" | "torn_tail" | "missing_attempt")
/**
 * The same as text for users.
 */
message: string
/**
 * Whether it is damage; other findings are only reported.
 */
is_damage: boolean
/**
 * The line of the ledger.
 */
line: (number | null)
/**
 * The task.
 */
task: (string | null)
/**
 * The attempt.
 */
attempt: (number | null)
}[]
/**
 * The path of the damaged ledger after the repair.
 */
set_aside: (string | null)
/**
 * The number of events that were rebuilt from the attempts.
 */
added: number
}
