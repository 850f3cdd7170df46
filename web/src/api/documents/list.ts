// Generated from schemas/list.schema.json by "npm run types".

/**
 * From a server: how many entries the whole list has.
 */
export type ListTotal = number
/**
 * From a server: how many entries of the whole list come before the first one here.
 */
export type ListOffset = number
/**
 * From a server: the `cursor` of the page before, empty for the first page; null on the first page.
 */
export type ListPrevious = (string | null)
/**
 * From a server: the `cursor` of the next page; null on the last one.
 */
export type ListNext = (string | null)
/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * When it was created.
 */
export type CreatedTime = (Time | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * When it ended.
 */
export type EndedTime = (Time | null)
/**
 * Its tags.
 */
export type Tags = string[]
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
 * From a server: the owner of its home.
 */
export type OwnerOfHome = string
/**
 * From a server: the name of its home; `here` is the home of the server's machine.
 */
export type NameOfHome = string
/**
 * The last report that a server has on it, if another machine runs it; null if it has ended or runs on the server's machine.
 */
export type Heard = ({
/**
 * Seconds, by the clock of the server.
 */
age: number
/**
 * The host that reported it.
 */
machine: (string | null)
/**
 * Seconds by which the clock of that host is ahead of the server's, if they differ by more than 5.
 */
skew: (number | null)
} | null)

/**
 * What `exp list --json` prints, the newest first.
 */
export interface ListDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.list/1"
total?: ListTotal
counts?: ListCounts
statuses?: ListStatuses
offset?: ListOffset
previous?: ListPrevious
next?: ListNext
/**
 * The matching experiments.
 * 
 * Items: One experiment.
 */
experiments: {
id: Id
/**
 * The value of `title` in its spec.
 */
title?: (string | null)
/**
 * Its name.
 */
name: string
/**
 * Its status; null if its ledger cannot be read.
 */
status: (ExperimentStatus | null)
created: CreatedTime
ended: EndedTime
/**
 * Seconds since its first start in which a supervisor or a task ran, until its end or now; null before the start, or if an older version recorded its end.
 */
active?: (number | null)
counts: Counts
tags: Tags
notes?: Notes
/**
 * The value of --key.
 */
key: (string | null)
owner?: OwnerOfHome
home?: NameOfHome
heard?: Heard
/**
 * From a server: the first line of its description, at most 200 characters.
 */
description?: (string | null)
/**
 * From a server: the names of the executors of its tasks.
 */
executors?: string[]
/**
 * From a server: the task that failed first; null if none has.
 */
failure?: ({
/**
 * Its id.
 */
task: string
/**
 * Its exit code, if it has one.
 */
exit_code: (number | null)
/**
 * Why it failed, as in exp.status/1.
 */
reason: (string | null)
/**
 * The first line of the details.
 */
message: (string | null)
} | null)
/**
 * From a server: the estimated seconds until its last sweep ends; null if unknown.
 */
seconds_left?: (number | null)
/**
 * From a server: who cancelled it as a whole; null if nobody did.
 */
cancelled_by?: (string | null)
/**
 * Why its ledger cannot be read.
 */
problem?: (string | null)
/**
 * Whether its supervisor responds, as in exp.status/1; null if none is alive.
 */
responding?: (boolean | null)
/**
 * How many tasks may still run after their supervisor has terminated; null if none, or it is alive.
 */
unsupervised?: (number | null)
/**
 * Why the backends of its live tasks were not asked, as in exp.status/1; null if they were, or need not be.
 */
not_observed?: (string | null)
}[]
/**
 * With `--foreign`: the runs of NeMo-Run in the same home; `experiments` is empty.
 * 
 * Items: One run. NeMo-Run does not record how its tasks ended.
 */
foreign?: {
/**
 * The name of its folder.
 */
id: string
/**
 * The name of the folder that contains it.
 */
title: string
/**
 * When it was created, according to its id, or else its first file.
 */
created: (Time | null)
/**
 * The number of its tasks and groups; null if their list cannot be read.
 */
tasks: (number | null)
/**
 * Its folder.
 */
directory: string
}[]
}
/**
 * From a server: how many entries of the whole list have each status.
 */
export interface ListCounts {
[k: string]: number
}
/**
 * From a server: `counts` without the condition on the status.
 */
export interface ListStatuses {
[k: string]: number
}
/**
 * The number of tasks by status; statuses without tasks are omitted.
 */
export interface Counts {
[k: string]: number
}
