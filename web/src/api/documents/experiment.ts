// Generated from schemas/experiment.schema.json by "npm run types".

/**
 * A spec of `exp`: tasks, their dependencies, and where they run. Strings may contain expressions, ${{ … }}.
 */
export interface ExperimentDocument {
/**
 * The version of the spec format.
 */
version?: number
/**
 * The folder that the relative paths of this file start from, and where its code is searched. Default: the folder of this file.
 */
folder?: {
[k: string]: unknown
}
/**
 * Files that this file overrides: mappings are merged key by key, lists are replaced, and null removes a key. Later files override earlier ones.
 */
extends?: {
[k: string]: unknown
}
/**
 * Files whose contents are added: tasks, executors, params and so on. Two files with different values for a key are an error.
 */
include?: {
[k: string]: unknown
}
/**
 * A title for people. Without `name` it also gives the experiment its name.
 */
title?: {
[k: string]: unknown
}
/**
 * The name; an experiment's id is <name>_<unix seconds>. Default: the name that `title` gives, or else that of the file.
 */
name?: {
[k: string]: unknown
}
/**
 * A description of the experiment for users.
 */
description?: {
[k: string]: unknown
}
/**
 * Tags for filtering: `exp list --tag`.
 */
tags?: {
[k: string]: unknown
}
/**
 * What the run is bound to (the `bindrs` of ML-Dash).
 */
bindrs?: {
[k: string]: unknown
}
/**
 * Where the experiment is tracked: owner/project/…/name.
 */
prefix?: {
[k: string]: unknown
}
/**
 * Where tracking records are stored and sent, and whether the use of CPU, memory and GPUs is recorded.
 */
tracking?: {
[k: string]: unknown
}
/**
 * Parameters, set by `-p name=value` and used as ${{ params.name }}: a plain default, whose type applies to every value, or a declaration.
 */
params?: {
[k: string]: unknown
}
/**
 * Environment variables of every task, also available as ${{ env.NAME }}. A variable may use earlier ones.
 */
env?: {
[k: string]: unknown
}
/**
 * The variables that local tasks inherit from the environment of the command that started them.
 */
env_inherit?: {
[k: string]: unknown
}
/**
 * Files in dotenv format with environment variables of every task; `env` overrides them.
 */
env_file?: {
[k: string]: unknown
}
/**
 * Environment variables whose values are fetched when the experiment starts and never written to disk.
 */
secrets?: {
[k: string]: unknown
}
/**
 * Places where tasks run, by name. `local` is built in.
 */
executors?: {
[k: string]: unknown
}
/**
 * The executor of tasks that do not name one.
 */
executor?: string
/**
 * Defaults for the keys of every task; keys of a group or a task override them.
 */
defaults?: {
[k: string]: unknown
}
/**
 * How the whole experiment is run.
 */
run?: {
[k: string]: unknown
}
/**
 * The tasks by id.
 */
tasks?: {
[k: string]: unknown
}
/**
 * Handlers that run when all tasks have finished and the experiment is COMPLETED.
 */
on_success?: {
[k: string]: unknown
}
/**
 * Handlers that run when all tasks have finished and the experiment is FAILED.
 */
on_failure?: {
[k: string]: unknown
}
/**
 * Handlers that run when all tasks have finished, whatever the outcome, also after a cancel; they run after on_success and on_failure.
 */
on_exit?: {
[k: string]: unknown
}
/**
 * Plugins of the experiment: code that changes tasks and executors before launch, or receives events.
 */
plugins?: {
[k: string]: unknown
}
/**
 * Which part of the working tree is shipped to where tasks run, for tasks without their own `packager`.
 */
packager?: {
[k: string]: unknown
}
}
