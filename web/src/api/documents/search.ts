// Generated from schemas/search.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * By what the members are compared: the key of a metric, or `outputs.KEY`.
 */
export type MetricOfBest = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")
/**
 * Its id: that of its task, or in a search of a group what the ids of its tasks begin with.
 */
export type IdOfTrial = string
/**
 * Its number in the search, from 1.
 */
export type NumberOfTrial = number
/**
 * The values that it is compared by, one for each goal.
 */
export type ValuesOfTrial = number[]
/**
 * The task's id; the id of a member begins with the id of its group.
 */
export type TaskId = string
/**
 * The status of a task.
 */
export type TaskStatus = ("PENDING" | "SUBMITTED" | "RUNNING" | "UNKNOWN" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "SKIPPED")
/**
 * The reason for the status, null if none exists: the values that this version knows. Readers must accept others.
 */
export type Reason = (ReasonWord | null)
/**
 * The reason: the values that this version knows. Readers must accept others.
 */
export type ReasonWord = ("exit" | "signal" | "timeout" | "oom" | "preempted" | "node_fail" | "lost" | "dependency" | "when" | "limit" | "cancelled" | "abandoned" | "template" | "launch" | "outputs" | "outcome" | "until" | "target" | "diverged" | "pruned" | "cached")
/**
 * How it ended, as the sampler sees it; null before that.
 */
export type OutcomeOfTrial = ("complete" | "pruned" | "failed" | null)
/**
 * The step, else the epoch, else the number of the row at which it was pruned; null if it was not.
 */
export type PrunedAt = (number | null)
/**
 * The value at which it was pruned; null if it was not.
 */
export type PrunedValue = (number | null)
/**
 * Why it has no values; null if it has, or has not ended.
 */
export type MessageOfTrial = (string | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * The tasks with a search, with all of their trials.
 */
export type Studies = (Search & {
/**
 * The space.
 * 
 * Items: One param.
 */
params: {
/**
 * Its name.
 */
name: string
/**
 * What values it can have.
 */
kind: ("float" | "int" | "choices")
/**
 * The smallest value; null for choices.
 */
low: (number | null)
/**
 * The largest value; null for choices.
 */
high: (number | null)
/**
 * The distance of values from each other; null for any.
 */
step: (number | null)
/**
 * Whether values are drawn from the logarithm.
 */
log: boolean
/**
 * The choices; empty for numbers.
 */
choices: unknown[]
/**
 * The condition under which a trial has the param; null for always.
 */
when: (string | null)
}[]
/**
 * The trials that have a suggestion, by number.
 */
history: PastTrial[]
/**
 * For each param, the complete trials by its value.
 * 
 * Items: One param.
 */
slices: {
/**
 * Its name.
 */
param: string
/**
 * The trials that have the param, by number.
 * 
 * Items: One trial.
 */
points: {
number: NumberOfTrial
/**
 * The value of the param.
 */
value: {
[k: string]: unknown
}
values: ValuesOfTrial
}[]
}[]
/**
 * The share that each param has in the differences of the values, by name; null if it is not known.
 */
importances: ({
[k: string]: number
} | null)
/**
 * Why the importances are not known; null if they are.
 */
importances_message: (string | null)
})[]

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/search` answers: the field `searches` of exp.show/1.
 */
export interface SearchDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.search/1"
id: Id
name: ExperimentName
status: ExperimentStatus
searches: Studies
}
/**
 * A search: what it looks for, how far it is, and what it has found.
 */
export interface Search {
/**
 * The task, which is the group of its trials.
 */
id: string
/**
 * What the trials are compared by, one for each goal.
 */
metrics: MetricOfBest[]
/**
 * Which values are better, one for each metric.
 */
goals: GoalOfBest[]
/**
 * How many trials start at most.
 */
trials: number
/**
 * What suggests params.
 */
sampler: string
/**
 * What stops hopeless trials; null for nothing.
 */
pruner: (string | null)
/**
 * The seed of all suggestions.
 */
seed: number
/**
 * The number of trials by their results.
 */
counts: {
/**
 * With values.
 */
complete: number
/**
 * Stopped as hopeless.
 */
pruned: number
/**
 * Failed, or ended without values.
 */
failed: number
/**
 * In an engine.
 */
running: number
/**
 * Not started yet.
 */
pending: number
/**
 * Cancelled.
 */
cancelled: number
/**
 * Never started, and will not be.
 */
skipped: number
}
/**
 * The best complete trial so far, of equal ones the first; null without one, and with several goals.
 */
best: (FoundTrial | null)
/**
 * With several goals the complete trials that no other one dominates; else empty.
 */
front: FoundTrial[]
/**
 * The estimated remaining seconds; null if unknown.
 */
seconds_left: (number | null)
/**
 * The estimate and what it is based on, as text for people; null if unknown.
 */
estimate: (string | null)
}
/**
 * A complete trial.
 */
export interface FoundTrial {
id: IdOfTrial
/**
 * The id of its task that has the first value.
 */
task: string
number: NumberOfTrial
params: ParamsOfTrial
values: ValuesOfTrial
}
/**
 * The suggested values by the names of the params, without those whose `when` is false.
 */
export interface ParamsOfTrial {
[k: string]: unknown
}
/**
 * One trial.
 */
export interface PastTrial {
id: IdOfTrial
number: NumberOfTrial
/**
 * The id of its task that has the first value, or because of which it has none; `status` and `reason` are those of this task.
 */
task: string
/**
 * The ids of its tasks.
 */
tasks: TaskId[]
status: TaskStatus
reason: Reason
params: ParamsOfTrial
outcome: OutcomeOfTrial
/**
 * The values that it is compared by; null unless it is complete.
 */
values: (number[] | null)
pruned_at: PrunedAt
pruned_value: PrunedValue
message: MessageOfTrial
/**
 * When the latest attempt at the first of its tasks started.
 */
started: (Time | null)
/**
 * When the last of its tasks ended.
 */
ended: (Time | null)
/**
 * Seconds, the sum of those of its tasks.
 */
duration: (number | null)
}
