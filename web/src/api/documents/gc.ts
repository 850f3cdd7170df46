// Generated from schemas/gc.schema.json by "npm run types".

/**
 * The kind of item: an experiment; an experiment whose removal was interrupted; what a process that died began to create; a FIFO without a supervisor; a ledger of an unfinished repair; a key without experiments; the traceback of a fault; shipped code of deleted experiments; a Python environment of deleted experiments; what `exp rm` removed long ago; a container or a network that Docker still has of a finished experiment (its name is the path); a record with `dash_root=None` that its server has; a result of a task with `cache` that no task used for long, or a file of results that none needs; with `--remote` the folder of a deleted experiment on another host, a Python environment or shipped code there that no experiment refers to, and a host that does not answer or a folder that cannot be read (only in `kept`). Their paths begin with the host.
 */
export type GcKind = ("experiment" | "collected" | "unfinished" | "wake" | "rebuilt" | "key" | "fault" | "code" | "environment" | "trash" | "container" | "network" | "delivered" | "result" | "remote_experiment" | "remote_environment" | "remote_code" | "remote_folder")

/**
 * What `exp gc --json` prints.
 */
export interface GcDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.gc/1"
/**
 * Whether this was a dry run; `removed` then lists what would be removed.
 */
dry_run: boolean
/**
 * The minimum age of removed experiments, in seconds since their end; null for leftovers only.
 */
older: (number | null)
/**
 * The number of removed bytes.
 */
bytes: number
/**
 * The removed items.
 * 
 * Items: An item.
 */
removed: {
kind: GcKind
/**
 * The experiment, or the experiment that it belonged to.
 */
id: (string | null)
/**
 * Its path.
 */
path: string
/**
 * Its size in bytes.
 */
bytes: number
}[]
/**
 * The items that could not be removed.
 * 
 * Items: An item.
 */
kept: {
kind: GcKind
/**
 * The experiment, or the experiment that it belonged to.
 */
id: (string | null)
/**
 * Its path.
 */
path: string
/**
 * Its size in bytes.
 */
bytes: number
/**
 * The reason.
 */
message: string
}[]
}
