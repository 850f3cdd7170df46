// Generated from schemas/diff.schema.json by "npm run types".

/**
 * The tasks with this field, all with the same two values; empty for a field of the experiment itself.
 */
export type ChangedTasks = string[]
/**
 * Its duration without pauses of the experiment in which it did not run, such as after the loss of its host.
 */
export type ActiveOfTask = (number | null)

/**
 * What `exp diff --json` prints: the differences only.
 */
export interface DiffDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.diff/1"
before: Side
after: Side1
/**
 * Different fields of the resolved specs, including params; ids and directories of the experiments are ignored.
 */
spec: Change[]
/**
 * Tasks that only the second experiment has.
 */
added: string[]
/**
 * Tasks that only the first experiment has.
 */
removed: string[]
/**
 * Differences in shipped code: commits, and files by path with their SHA-256 or the target of a link.
 */
code: Change[]
/**
 * Differences of the recorded environments.
 */
environment: Change[]
/**
 * Tasks of both with different results.
 * 
 * Items: One task.
 */
results: {
/**
 * Its id.
 */
task: string
before: Result
after: Result1
}[]
}
/**
 * The first experiment.
 */
export interface Side {
/**
 * Its id.
 */
id: string
/**
 * Its name.
 */
name: string
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * The experiment that it is a rerun of.
 */
rerun_of: (string | null)
}
/**
 * The second experiment.
 */
export interface Side1 {
/**
 * Its id.
 */
id: string
/**
 * Its name.
 */
name: string
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * The experiment that it is a rerun of.
 */
rerun_of: (string | null)
}
/**
 * One field with two values.
 */
export interface Change {
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
 * The first value; null if missing.
 */
before: {
[k: string]: unknown
}
/**
 * The second value; null if missing.
 */
after: {
[k: string]: unknown
}
}
/**
 * In the first experiment.
 */
export interface Result {
/**
 * The task's status.
 */
status: string
/**
 * The reason of its status.
 */
reason: (string | null)
/**
 * Its exit code.
 */
exit_code: (number | null)
/**
 * The attempt with this result.
 */
attempt: number
/**
 * Seconds.
 */
duration: (number | null)
active?: ActiveOfTask
/**
 * Its outputs.
 */
outputs: {

}
}
/**
 * In the second experiment.
 */
export interface Result1 {
/**
 * The task's status.
 */
status: string
/**
 * The reason of its status.
 */
reason: (string | null)
/**
 * Its exit code.
 */
exit_code: (number | null)
/**
 * The attempt with this result.
 */
attempt: number
/**
 * Seconds.
 */
duration: (number | null)
active?: ActiveOfTask
/**
 * Its outputs.
 */
outputs: {

}
}
