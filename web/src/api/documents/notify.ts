// Generated from schemas/notify.schema.json by "npm run types".

/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * The folder of the experiment.
 */
export type ExperimentDirectory = string
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * The same as text for users.
 */
export type Message = (string | null)

/**
 * What the plugin `notify` passes to a command on its standard input, or posts to a webhook.
 */
export interface NotifyDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.notify/1"
/**
 * The occasion: the experiment has finished, its supervisor terminated before that, or a task has failed without a further retry.
 */
occasion: ("end" | "interrupted" | "first_failure" | "each_failure")
/**
 * The notification as text, in a few lines.
 */
text: string
/**
 * The experiment's id.
 */
id: string
name: ExperimentName
/**
 * Its title.
 */
title?: (string | null)
status: ExperimentStatus
directory: ExperimentDirectory
/**
 * The host that sent the notification.
 */
host: string
/**
 * When it happened.
 */
time: string
/**
 * When the experiment was started or last resumed.
 */
started: (Time | null)
/**
 * Seconds since `started`.
 */
duration: (number | null)
/**
 * The number of tasks by status; statuses without tasks are omitted.
 */
counts: {
[k: string]: number
}
/**
 * The task that failed; null at the end of the experiment.
 */
task: (string | null)
/**
 * The number of failed tasks.
 */
failed_count: number
/**
 * The task that failed, or at the end of the experiment the first 20 failed tasks.
 * 
 * Items: One task.
 */
failed: {
/**
 * Its id.
 */
id: string
/**
 * Its exit code.
 */
exit_code: (number | null)
/**
 * The reason, as a word.
 */
reason: (string | null)
message: Message
}[]
}
