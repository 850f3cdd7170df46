// Generated from schemas/doctor.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * What to do about it.
 */
export type Hint = (string | null)

/**
 * What `exp doctor --json` prints.
 */
export interface DoctorDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.doctor/1"
/**
 * The requested experiment.
 */
id: (Id | null)
/**
 * The folder $NEMORUN_HOME.
 */
home: string
/**
 * Whether no check found a problem.
 */
is_well: boolean
/**
 * The checks.
 * 
 * Items: One check.
 */
checks: {
/**
 * The subject of the check.
 */
subject: string
/**
 * The result of the check: `trouble` prevents experiments from running.
 */
state: ("well" | "warning" | "trouble")
/**
 * What the check found.
 */
message: string
remedy: Hint
/**
 * Whether the check concerns the engine of an executor; trouble with an engine leads to exit code 6.
 */
is_engine: boolean
}[]
}
