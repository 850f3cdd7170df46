// Generated from schemas/note.schema.json by "npm run types".

/**
 * Its notes, the oldest first.
 * 
 * Items: A note.
 */
export type Notes = {
/**
 * When it was added; empty if that is not known.
 */
time: string
/**
 * Who added it.
 */
by: string
/**
 * Its text.
 */
text: string
}[]

/**
 * What `exp note --json` prints.
 */
export interface NoteDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.note/1"
/**
 * The experiment; null for a record.
 */
id: (string | null)
/**
 * The prefix of a record; null for an experiment.
 */
prefix: (string | null)
notes: Notes
}
