// Generated from schemas/plan.schema.json by "npm run types".

/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * By what the members are compared: the key of a metric, or `outputs.KEY`.
 */
export type MetricOfBest = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")
/**
 * What to do about it.
 */
export type Hint = (string | null)
/**
 * The task's id; the id of a member begins with the id of its group.
 */
export type TaskId = string
/**
 * Its number in the order of the spec, from 0.
 */
export type TaskIndex = number
/**
 * The group that it is a member of.
 */
export type GroupOfTask = (string | null)
/**
 * The name of its executor in the spec.
 */
export type ExecutorName = string
/**
 * The type of its executor.
 */
export type ExecutorType = string
/**
 * The ids of the tasks it depends on; groups are expanded to their members.
 */
export type DependencyIds = string[]
/**
 * The outcome for which a handler runs.
 */
export type Handler = ("on_success" | "on_failure" | "on_exit" | null)

/**
 * What `exp run --dry-run --json` prints. Nothing was created.
 */
export interface PlanDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.plan/1"
/**
 * The id that the experiment would get now.
 */
id: string
name: ExperimentName
/**
 * The folder that it would get.
 */
directory: string
/**
 * The spec's `run` section with all its defaults.
 */
run: {

}
/**
 * The params by name.
 */
params: {

}
/**
 * The searches of the spec.
 */
searches?: PlannedSearch[]
/**
 * By what the best member of a group or a search is chosen.
 * 
 * Items: One choice.
 */
best?: {
/**
 * The group, or the task with a matrix or a search.
 */
group: string
metric: MetricOfBest
goal: GoalOfBest
}[]
/**
 * The plugins that the spec uses; their changes are included in the tasks.
 */
plugins?: UsedPlugin[]
/**
 * The executors that tasks use.
 */
executors: UsedExecutor[]
/**
 * The content that packagers would ship.
 */
packages: Package[]
/**
 * The Python environments that would be made for its tasks.
 * 
 * Items: One environment.
 */
python_environments?: {
/**
 * Its id, the same for the same content.
 */
id: string
/**
 * What it is made from.
 */
text: string
/**
 * Its folder; null if it is made on another host.
 */
folder: (string | null)
/**
 * Whether it is known to exist.
 */
is_made: boolean
}[]
/**
 * What the spec probably does not mean: texts with the syntax of a shell that run without one, and variables that tasks do not inherit because they are secrets.
 */
warnings?: Warning[]
/**
 * The tasks, each after its dependencies.
 * 
 * Items: One task and its first attempt.
 */
tasks: {
id: TaskId
index: TaskIndex
group: GroupOfTask
/**
 * What it runs.
 */
kind: ("script" | "inline" | "command" | "partial")
executor: ExecutorName
type: ExecutorType
dependencies: DependencyIds
/**
 * What it depends on outside of the experiment, in words.
 */
external?: string[]
/**
 * The dependency type.
 */
dependency_type: ("afterok" | "afterany" | "afternotok")
/**
 * The condition under which it runs.
 */
when: (string | boolean | null)
/**
 * The exact command.
 */
argv: string[]
/**
 * The folder it runs in.
 */
workdir: string
/**
 * The environment variables set by the spec and `exp`; secrets are masked.
 */
env: {
[k: string]: string
}
/**
 * Its Python environment: venv or conda with a path, or uv with what it is made from and the id of the environment; null for the Python on its PATH.
 */
python?: ({

} | null)
/**
 * The inherited variables: all, none, or a list.
 */
env_inherit: (("all" | "none") | string[])
/**
 * The names of its secrets.
 */
secrets: string[]
/**
 * The text of its script; null for a file outside of the folder of the spec that is neither executable nor begins with #!.
 */
script: (string | null)
/**
 * The callable of a partial.
 */
call: ({
target: string
args: {

}
} | null)
/**
 * Seconds.
 */
timeout: (number | null)
resources?: Resources
/**
 * The conditions on metrics that stop an attempt.
 * 
 * Items: One condition: above, below, patience, or none of these for a value that is NaN or infinite.
 */
stop: {
/**
 * The key of the metric.
 */
metric: string
/**
 * A finite value is greater than this.
 */
above: (number | null)
/**
 * A finite value is less than this.
 */
below: (number | null)
/**
 * So many values in a row are no improvement.
 */
patience: (number | null)
/**
 * An improvement differs by more than this from the best value before it.
 */
min_delta: number
/**
 * Which values are better: minimize or maximize.
 */
goal: (string | null)
/**
 * The condition in words.
 */
text: string
}[]
/**
 * When it is retried; times in seconds.
 */
retry: {
/**
 * The maximum number of retries.
 */
limit: number
/**
 * Seconds until the first retry.
 */
delay: number
/**
 * The factor for each further delay.
 */
backoff: number
/**
 * The maximum delay.
 */
max_delay: (number | null)
/**
 * The failures that are retried: exit codes or causes.
 */
on: (string | number)[]
/**
 * Patterns that cause a retry if they match the end of its output.
 */
log?: string[]
}
/**
 * What decides whether an earlier result is reused, in addition to its other keys; null if none is.
 */
cache?: ({
/**
 * Globs of files that it reads, with the modules of a partial.
 */
inputs: string[]
/**
 * Globs of files that it writes.
 */
outputs: string[]
/**
 * Values that count as they are.
 */
also: unknown[]
/**
 * The names of inherited environment variables that count.
 */
env: string[]
} | null)
/**
 * Whether it would get an earlier result, as far as that can be known before the experiment; null without `cache`.
 */
reuse?: ({
/**
 * `reuse`: it would get an earlier result; `run`: it would run; `later`: that depends on what happens before it starts.
 */
decision: ("reuse" | "run" | "later")
/**
 * The reason, as a sentence.
 */
message: string
/**
 * The attempt whose result it would get; null if it would get none.
 */
from: (Origin | null)
/**
 * The newest earlier success of a task that would run; null if none is known.
 */
compared_with: (Origin | null)
/**
 * The parts of its fingerprint that differ from those of that success.
 */
changed: ChangedPart[]
} | null)
handler?: Handler
/**
 * The texts of fields that depend on the values of a trial, by JSON pointer; until the trial has its values, these fields have those of a point of the space.
 */
searched?: {
[k: string]: string
}
/**
 * JSON pointers to values that are filled in when its dependencies have finished.
 */
late: string[]
/**
 * The dependencies that its engine waits for; null if it is not queued early.
 */
queued_early: ({
/**
 * The tasks on which its job depends; it is queued as soon as they are submitted.
 */
behind: string[]
/**
 * The dependencies that the engine cannot wait for, which must finish before it is queued.
 */
after: string[]
} | null)
/**
 * Details added by its executor.
 */
details: {

}
}[]
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
/**
 * One use of a plugin.
 */
export interface UsedPlugin {
/**
 * Its name, or module:Class.
 */
uses: string
/**
 * The tasks that use it; null for the whole experiment.
 */
tasks: (string[] | null)
/**
 * Whether it receives events.
 */
hears: boolean
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
 * The content shipped by a packager, and its location.
 */
export interface Package {
/**
 * Its options.
 */
packager: {

}
/**
 * SHA-256 of the list of its files and their hashes.
 */
hash: string
/**
 * The folder of the original content, which is never changed.
 */
store: string
/**
 * The experiment's own copy, in which its tasks run.
 */
folder: string
/**
 * The source folder, if the content comes from a single folder.
 */
root: (string | null)
/**
 * The path of the spec's folder within the content.
 */
place: (string | null)
/**
 * The path within the content where tasks run whose workdir is the spec's folder; null for `place`.
 */
start?: (string | null)
/**
 * The number of files.
 */
files: number
/**
 * The total size in bytes.
 */
bytes: number
/**
 * Facts reported by the packager, such as the commit.
 */
facts: {

}
/**
 * The same as text for users.
 */
told: string
/**
 * Files that are not shipped, each with the reason.
 */
left_out: string[]
/**
 * The paths of task scripts within the content, which run from there.
 */
scripts: string[]
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
 * The resources that it requests: cpus, memory in bytes, gpus.
 */
export interface Resources {
/**
 * A number of CPUs.
 */
cpus?: number
/**
 * Bytes of memory.
 */
memory?: number
/**
 * A number of GPUs.
 */
gpus?: number
}
/**
 * An attempt of an experiment of the same home.
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
/**
 * A part of a fingerprint: its digest, or its text if that is short.
 */
export interface ChangedPart {
/**
 * Its name.
 */
part: string
/**
 * Of the success; null if it is new.
 */
before: (string | null)
/**
 * Of this task; null if it was removed.
 */
after: (string | null)
}
