// Generated from schemas/resume.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The tasks with this field, all with the same two values; empty for a field of the experiment itself.
 */
export type ChangedTasks = string[]

/**
 * What `exp resume --dry-run --json` prints. Nothing was changed.
 */
export interface ResumeDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.resume/1"
id: Id
/**
 * The tasks in the order of the spec.
 * 
 * Items: A decision.
 */
tasks: {
/**
 * The task.
 */
id: string
/**
 * The action: keep a succeeded task, adopt a live attempt, wait (not started yet), or run again.
 */
action: ("keep" | "adopt" | "wait" | "run")
/**
 * The attempt after the resume.
 */
attempt: number
/**
 * The reason.
 */
reason: string
}[]
/**
 * The revision of the changed spec, with --spec, -p or --set; null if the spec does not change.
 */
revision: (number | null)
/**
 * The changed fields of the spec.
 * 
 * Items: One field.
 */
changes: {
tasks: ChangedTasks
/**
 * The dotted name of the field.
 */
path: string
/**
 * Whether the field was changed, added or removed.
 */
change: ("changed" | "added" | "removed")
/**
 * Its old value; null if missing.
 */
before: {
[k: string]: unknown
}
/**
 * Its new value; null if missing.
 */
after: {
[k: string]: unknown
}
}[]
/**
 * The new tasks.
 */
added: string[]
/**
 * The removed tasks; their events remain in the ledger.
 */
removed: string[]
/**
 * The tasks that ran before and have changed, which requires --accept-changes.
 */
unaccepted: string[]
}
