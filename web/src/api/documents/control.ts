// Generated from schemas/control.schema.json by "npm run types".

/**
 * What `POST /v1/control/…` answers with 202 if an action takes longer than 30 seconds.
 */
export interface ControlDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.control/1"
/**
 * What was asked for.
 */
action: ("cancel" | "resume" | "rerun" | "rm" | "tag" | "note")
/**
 * It continues; the same request with the same Idempotency-Key waits for its end again.
 */
state: "running"
}
