// Generated from schemas/validate.schema.json by "npm run types".

/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * What to do about it.
 */
export type Hint = (string | null)
/**
 * By what the members are compared: the key of a metric, or `outputs.KEY`.
 */
export type MetricOfBest = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")

/**
 * What `exp validate --json` prints; a spec with problems is an exp.error/1 instead.
 */
export interface ValidateDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.validate/1"
/**
 * The spec.
 */
file: string
name: ExperimentName
/**
 * The executors that tasks use.
 */
executors: UsedExecutor[]
/**
 * What the spec probably does not mean: texts with the syntax of a shell that run without one, and variables that tasks do not inherit because they are secrets.
 */
warnings?: Warning[]
/**
 * The ids of the tasks.
 */
tasks: string[]
/**
 * The searches of the spec.
 */
searches?: PlannedSearch[]
/**
 * The results from the engines, with --engines.
 * 
 * Items: One engine.
 */
engines: {
/**
 * Its name.
 */
engine: string
/**
 * Whether it can run the spec.
 */
is_well: boolean
/**
 * The message of the engine.
 */
message: string
remedy: Hint
}[]
}
/**
 * One executor.
 */
export interface UsedExecutor {
/**
 * Its name.
 */
name: string
/**
 * Its type.
 */
type: string
/**
 * Where it is defined: in the spec (or a file that it extends or includes), the project file, the user file, or built in.
 */
origin: ("built in" | "spec" | "project" | "user")
/**
 * The file that defines it.
 */
file: (string | null)
}
/**
 * One warning, in the form of a problem.
 */
export interface Warning {
/**
 * The file as it was given, or the option that set the value.
 */
file: string
/**
 * From 1; null if the value is not from a file.
 */
line: (number | null)
/**
 * From 1; null if the value is not from a file.
 */
column: (number | null)
/**
 * The place in the spec.
 */
path: string
/**
 * What the text probably does not mean.
 */
message: string
hint: Hint
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
