// Generated from schemas/rm.schema.json by "npm run types".

/**
 * The path of the record in dash_root.
 */
export type PrefixOfRecord = string
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string

/**
 * What `exp rm --json` prints.
 */
export interface RmDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.rm/1"
/**
 * Whether this was a dry run; `removed` then lists what would be removed.
 */
dry_run: boolean
/**
 * What was moved to the trash.
 */
removed: TrashItem[]
/**
 * The records of removed experiments that others wrote, too, with --records.
 * 
 * Items: A record.
 */
kept: {
prefix: PrefixOfRecord
/**
 * Its folder.
 */
path: string
/**
 * The reason.
 */
message: string
}[]
/**
 * What --restore put back.
 */
restored: TrashItem[]
/**
 * The trash, the oldest removal first; only with --restore and nothing to restore.
 * 
 * Items: A removal.
 */
trash: {
time: Time
/**
 * Who removed it.
 */
by: string
/**
 * What was removed.
 */
items: TrashItem[]
}[]
}
/**
 * An experiment or a record that was removed.
 */
export interface TrashItem {
/**
 * What it is.
 */
kind: ("experiment" | "record")
/**
 * The experiment that it is, or with which it was removed.
 */
id: (string | null)
/**
 * The prefix of a record.
 */
prefix: (string | null)
/**
 * The folder that it had, and gets back.
 */
path: string
/**
 * The folder that it has in the trash; empty in a dry run.
 */
trash: string
}
