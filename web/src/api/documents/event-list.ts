// Generated from schemas/event-list.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string

/**
 * What `GET /v1/views/experiments/OWNER/HOME/ID/events` answers.
 */
export interface EventListDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.event-list/1"
id: Id
/**
 * The events, as in exp.events/1.
 */
events: {

}[]
/**
 * For each event its content in one line, as in exp events.
 */
summaries?: string[]
/**
 * The `after` of the next ones; null on the last page.
 */
next: (number | null)
/**
 * How many there are.
 */
total: number
}
