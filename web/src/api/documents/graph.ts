// Generated from schemas/graph.schema.json by "npm run types".

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
 * The status of a task.
 */
export type TaskStatus = ("PENDING" | "SUBMITTED" | "RUNNING" | "UNKNOWN" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "SKIPPED")
/**
 * By what the members are compared: the key of a metric, or `outputs.KEY`.
 */
export type MetricOfBest = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")

/**
 * What `exp graph --json` prints.
 */
export interface GraphDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.graph/1"
/**
 * The experiment; null for a spec.
 */
id: (Id | null)
name: ExperimentName
/**
 * Its status.
 */
status: (ExperimentStatus | null)
/**
 * Tasks and groups, each after its dependencies.
 * 
 * Items: A task, or a group with its members.
 */
nodes: {
/**
 * The id of the task or the group, or a key of something outside of the experiment.
 */
id: string
/**
 * What it is; external: another experiment, a task of it, or a job of Slurm, without members.
 */
kind: ("task" | "group" | "external")
/**
 * The ids of its tasks; for a task its own id.
 */
members: string[]
/**
 * The executors.
 */
executors: string[]
/**
 * Its status, for a group derived from its members; null for a spec.
 */
status: (TaskStatus | null)
counts: Counts
/**
 * Its description in the spec.
 */
description: (string | null)
/**
 * How many of its tasks have `cache`.
 */
reusable?: number
/**
 * How many of its tasks got the result of an earlier run.
 */
cached?: number
}[]
/**
 * The dependencies.
 * 
 * Items: `to` depends on `from`.
 */
edges: {
/**
 * A node.
 */
from: string
/**
 * A node.
 */
to: string
/**
 * The dependency type; for a handler the outcome for which it runs.
 */
type: ("afterok" | "afterany" | "afternotok" | "on_success" | "on_failure" | "on_exit")
}[]
/**
 * The searches among the groups.
 */
searches?: PlannedSearch[]
/**
 * The groups.
 * 
 * Items: A group.
 */
groups: {
/**
 * Its id.
 */
id: string
/**
 * The ids of its members.
 */
members: string[]
/**
 * Whether the members are co-scheduled: all start at once or none.
 */
together: boolean
/**
 * Whether a failed member cancels the others.
 */
fail_fast: boolean
/**
 * By what its best member is chosen; only with the key `best`.
 */
best?: {
metric: MetricOfBest
goal: GoalOfBest
}
/**
 * When it ends: all (when all members have ended), any (with the first member that succeeds), or the id of the member with which it ends.
 */
until?: string
}[]
}
/**
 * The number of tasks by status; statuses without tasks are omitted.
 */
export interface Counts {
[k: string]: number
}
/**
 * A search: what it looks for, where and how.
 */
export interface PlannedSearch {
/**
 * The id of its group.
 */
id: string
/**
 * The names of the tasks of each trial, in a search of a group; else empty.
 */
tasks: string[]
/**
 * How many trials are started at most.
 */
trials: number
/**
 * How many trials run at once at most; null for no limit of its own.
 */
max_parallel: (number | null)
/**
 * Seconds after the first suggestion in which trials are started; null for no limit.
 */
timeout: (number | null)
/**
 * What suggests values.
 */
sampler: string
/**
 * Decides what the sampler draws; of a spec without one, that of an experiment that would start now.
 */
seed: number
/**
 * What stops trials; null for nothing.
 */
pruner: (string | null)
/**
 * Its options, by the names that Optuna has for them.
 */
pruner_options: {

}
/**
 * By what trials are compared.
 * 
 * Items: A metric and its goal.
 */
goals: {
metric: MetricOfBest
goal: GoalOfBest
}[]
/**
 * The space, in the order of the spec.
 * 
 * Items: A param.
 */
params: {
/**
 * Its name.
 */
name: string
/**
 * float, int or choices.
 */
kind: string
/**
 * The smallest value; null for choices.
 */
low: (number | null)
/**
 * The largest value; null for choices.
 */
high: (number | null)
/**
 * The distance between values; null for none.
 */
step: (number | null)
/**
 * Whether values are drawn from the logarithm.
 */
log: boolean
/**
 * The values to choose from; empty for numbers.
 */
choices: unknown[]
/**
 * The condition under which it has a value; null for none.
 */
when: (string | null)
/**
 * Its values in words.
 */
text: string
}[]
/**
 * The values of the first trials.
 * 
 * Items: The values by name.
 */
start_with: {

}[]
}
