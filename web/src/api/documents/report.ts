// Generated from schemas/report.schema.json by "npm run types".

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
 * What `exp report --json` prints.
 */
export interface ReportDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.report/1"
id: Id
name: ExperimentName
status: ExperimentStatus
/**
 * When the experiment was read for it.
 */
made: string
/**
 * The file.
 */
path: string
/**
 * Its size.
 */
bytes: number
/**
 * The number of tasks in it.
 */
tasks: number
/**
 * The number of curves in it.
 */
curves: number
/**
 * Whether a point of a curve stands for more than one number.
 */
sampled: boolean
/**
 * The number of logs whose end is in it.
 */
logs: number
}
