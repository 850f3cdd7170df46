// Generated from schemas/run.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * The folder of the experiment.
 */
export type ExperimentDirectory = string
/**
 * What to do about it.
 */
export type Hint = (string | null)

/**
 * What `exp run --json`, `exp resume --json` and `exp attach --json` print: at the end, or with --detach at once.
 */
export interface RunDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.run/1"
id: Id
name: ExperimentName
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
directory: ExperimentDirectory
/**
 * What the spec probably does not mean: texts with the syntax of a shell that run without one.
 */
warnings?: Warning[]
/**
 * The ids of its tasks.
 */
tasks: string[]
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
