// Generated from schemas/events.schema.json by "npm run types".

/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")
/**
 * The other members that are as good: the first in order has won.
 */
export type TiedMembers = string[]
/**
 * The members that cannot be the best.
 * 
 * Items: One member, and why it cannot.
 */
export type ExcludedMembers = {
/**
 * Its id.
 */
task: string
/**
 * It is not SUCCEEDED; it was pruned; it does not have the metric or the output; or the last or the compared value is NaN or infinite.
 */
reason: ("status" | "pruned" | "missing" | "not_finite")
/**
 * The same as text for people, which follows its id.
 */
message: string
}[]
/**
 * The reason: the values that this version knows. Readers must accept others.
 */
export type ReasonWord = ("exit" | "signal" | "timeout" | "oom" | "preempted" | "node_fail" | "lost" | "dependency" | "when" | "limit" | "cancelled" | "abandoned" | "template" | "launch" | "outputs" | "outcome" | "until" | "target" | "diverged" | "pruned" | "cached")
/**
 * The series of its rows.
 */
export type UnmatchedSeries = string
/**
 * The pattern.
 */
export type UnmatchedPattern = string
/**
 * It matched no line; it matched only texts that are no numbers, such as 0,5; or it was too slow and was given up.
 */
export type UnmatchedReason = ("never" | "text" | "slow")
/**
 * The key of the metric, as in the spec.
 */
export type UnjudgedMetric = string
/**
 * There is no such metric; it has no number; or several metrics have that name. Later versions may add reasons.
 */
export type UnjudgedReason = string
/**
 * The metrics that the record has instead; if the name is ambiguous, those with that name.
 */
export type UnjudgedNames = string[]
/**
 * The task's id; the id of a member begins with the id of its group.
 */
export type TaskId = string
/**
 * The name of the experiment.
 */
export type ExperimentName = string

/**
 * One line of `exp events --json`; fields that do not apply are omitted.
 */
export interface EventsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.events/1"
/**
 * The kind of event. Later versions may add kinds.
 */
event: string
time: Time
/**
 * The writer: a supervisor, or the command of a user.
 */
by: string
/**
 * The task.
 */
task?: string
/**
 * Something outside of the experiment that has ended: its key in the spec of exp.show/1.
 */
external?: string
/**
 * The group whose best member was chosen, or the task with a matrix.
 */
group?: string
/**
 * The metric by which an attempt is stopped: its key in `stop`.
 */
metric?: string
goal?: GoalOfBest
/**
 * The id of the best member; omitted if none qualifies.
 */
winner?: string
/**
 * The value by which it won.
 */
value?: number
tied?: TiedMembers
excluded?: ExcludedMembers
/**
 * The attempt.
 */
attempt?: number
/**
 * The final status of a task, of the experiment, of a Python environment, or of something outside; SKIPPED and UNKNOWN only of the latter.
 */
status?: ("SUCCEEDED" | "COMPLETED" | "FAILED" | "CANCELLED" | "SKIPPED" | "UNKNOWN")
reason?: ReasonWord
/**
 * The same as text for users.
 */
message?: string
/**
 * The GPUs assigned to a submitted attempt on this machine, as in CUDA_VISIBLE_DEVICES.
 */
gpus?: string
usage?: Usage
/**
 * The pattern of `retry.on` that matches the output of a failed attempt.
 */
symptom?: string
/**
 * The patterns of `metrics` that the output of the attempt did not match, or that were given up.
 * 
 * Items: One pattern.
 */
unmatched?: {
series: UnmatchedSeries
pattern: UnmatchedPattern
reason: UnmatchedReason
/**
 * The byte of the log at which a line with such a text begins; else 0.
 */
at: number
}[]
/**
 * The metrics of `stop` that the attempt had no value of.
 * 
 * Items: One metric.
 */
unjudged?: {
metric: UnjudgedMetric
reason: UnjudgedReason
names: UnjudgedNames
}[]
/**
 * The entry of `retry.on` that caused the retry: an exit code, a cause, or log: and a pattern.
 */
rule?: string
/**
 * The exit code of an attempt.
 */
exit_code?: number
/**
 * Its id in the engine.
 */
job_id?: string
/**
 * The outputs of the attempt.
 */
outputs?: {

}
/**
 * For a cancel: the selected tasks, if not all. For a resume: the tasks that run again, with their attempt numbers. For created: the number of tasks.
 */
tasks?: (unknown[] | {

} | number)
/**
 * A time in UTC, with milliseconds.
 */
started?: string
/**
 * A time in UTC, with milliseconds.
 */
not_before?: string
/**
 * The reason of the failure that a retry follows.
 */
after?: string
/**
 * What the state of an attempt is known by.
 */
evidence?: string
/**
 * The signal of a cancel, if not the task's own.
 */
signal?: string
/**
 * Seconds from the signal of a cancel to KILL, if not the task's own.
 */
grace?: number
/**
 * Seconds that an attempt ran, if the clock was set, or the machine suspended, between its start and its end.
 */
duration?: number
/**
 * Whether a cancel gives up running attempts without confirmation.
 */
abandon?: boolean
/**
 * The process id of the supervisor.
 */
pid?: number
/**
 * The host of the supervisor.
 */
host?: string
/**
 * The boot id of that host.
 */
boot?: string
/**
 * The user that the supervisor runs as.
 */
user?: string
/**
 * The number of tasks by status, at the end.
 */
counts?: {

}
/**
 * Seconds by which the clock was set, or the machine suspended, while this supervisor ran, if that is why timestamps do not fit.
 */
clock_step?: number
/**
 * The seconds without pauses that the experiment took.
 */
active?: number
/**
 * The revision of the spec that a resume installed.
 */
revision?: number
/**
 * The tasks that this revision changed.
 */
changed?: string[]
/**
 * The tasks that this revision added; of tagged the tags that were added.
 */
added?: string[]
/**
 * The tasks that this revision removed; of tagged the tags that were removed.
 */
removed?: string[]
/**
 * The text of a note.
 */
text?: string
/**
 * The id of a Python environment of tasks.
 */
python_environment?: string
/**
 * What that environment is, or is made from.
 */
environment_text?: string
/**
 * The version of its Python.
 */
python_version?: string
/**
 * The versions of its packages, by name.
 */
installed?: {
[k: string]: string
}
/**
 * Of a Python environment a hash of what is in it, of an attempt a hash of all that its result depends on.
 */
fingerprint?: string
/**
 * The number of a trial, from 1.
 */
number?: number
/**
 * The values that were suggested for a trial, by the names of the params.
 */
params?: {

}
/**
 * What the sampler needs again for later suggestions. It belongs to the version that wrote it.
 */
written?: {

}
/**
 * How a trial ended, as later suggestions use it. Later versions can have others.
 */
outcome?: string
/**
 * The values of a complete trial, one for each metric of the search.
 */
values?: number[]
/**
 * The step, epoch or number of the row after which a trial was pruned.
 */
pruned_at?: number
/**
 * The value there, if it is finite.
 */
pruned_value?: number
/**
 * The task of the same trial that was pruned, because of which this one does not run on.
 */
pruned_task?: string
/**
 * The rung of its pruner that a trial has reached, from 1.
 */
rung?: number
/**
 * The value by which the rung compares trials; inf or -inf as text.
 */
rung_value?: (number | string)
/**
 * The step, epoch or number of the row at which it reached the rung.
 */
step?: number
/**
 * The pruner that judged the trial, with its options.
 */
pruner?: string
/**
 * The step of the last value that the pruner saw of a complete trial.
 */
last_step?: number
/**
 * Up to which step the values of other trials, which had no result yet, were judged, by their ids.
 */
judged?: {
[k: string]: number
}
/**
 * What the result of an attempt depends on: for each part its hash, or its text if that is short.
 */
parts?: {
[k: string]: string
}
cached_from?: Origin
/**
 * The id of the experiment.
 */
id?: string
name?: ExperimentName
/**
 * Its title.
 */
title?: (string | null)
/**
 * The format of the ledger.
 */
format?: string
/**
 * Whether a repair wrote the event instead of a supervisor.
 */
rebuilt?: boolean
}
/**
 * The resource usage of a finished attempt: peak memory in bytes, CPU time in seconds, peak GPU memory in bytes; each only if it was measured.
 */
export interface Usage {
/**
 * Peak memory in bytes; for local tasks that of the largest process.
 */
memory?: number
/**
 * CPU time of all its processes, in seconds.
 */
cpu?: number
/**
 * The most memory in use on its GPUs together, in bytes, in samples of nvidia-smi while it ran.
 */
gpu_memory?: number
}
/**
 * The attempt whose result was taken instead of a run.
 */
export interface Origin {
/**
 * The id of the experiment, which may have been removed since.
 */
experiment: string
task: TaskId
/**
 * The number of the attempt.
 */
attempt: number
}
