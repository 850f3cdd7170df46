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
