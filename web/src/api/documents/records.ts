// Generated from schemas/records.schema.json by "npm run types".

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
 * The path of the record in dash_root.
 */
export type PrefixOfRecord = string
/**
 * The folder of all records.
 */
export type DashRoot = string
/**
 * The experiment that wrote this part; null for the whole record.
 */
export type ExperimentOfRecord = (string | null)
/**
 * The task that wrote this part; null for a record of the experiment itself or of several tasks.
 */
export type TaskOfRecord = (string | null)
/**
 * The same as text for users.
 */
export type Message = (string | null)
/**
 * When it ended.
 */
export type EndedTime = (Time | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
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
 * How much of it has not arrived on its server; null for a record that is sent nowhere.
 */
export type SyncOfRecord = ({
/**
 * The address of the server.
 */
url: string
/**
 * The bytes that the server has not confirmed.
 */
pending: number
/**
 * When the server last confirmed anything.
 */
last: (string | null)
/**
 * Why nothing is sent now, if that is known.
 */
error: (string | null)
} | null)
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
 * What `exp records --json` prints.
 */
export interface RecordsDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.records/1"
total?: ListTotal
counts?: ListCounts
statuses?: ListStatuses
offset?: ListOffset
previous?: ListPrevious
next?: ListNext
/**
 * From a server: the parts that follow `prefix` in the list, in order; at most 200.
 * 
 * Items: One part.
 */
folders?: {
/**
 * The part.
 */
name: string
/**
 * How many records there and below.
 */
records: number
}[]
/**
 * From a server: records that cannot be read.
 * 
 * Items: One of them.
 */
unreadable?: {
prefix: PrefixOfRecord
dash_root: DashRoot
/**
 * Why not.
 */
problem: string
}[]
/**
 * The matching records.
 * 
 * Items: One record.
 */
records: {
prefix: PrefixOfRecord
dash_root: DashRoot
/**
 * From a server: the word for its folder of records, as the parameter `root` takes it.
 */
root?: string
experiment: ExperimentOfRecord
task: TaskOfRecord
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The reason of its status, as a word.
 */
reason: (string | null)
message: Message
/**
 * When it was first opened.
 */
opened: string
ended: EndedTime
/**
 * A description for users.
 */
description: (string | null)
tags: Tags
notes?: Notes
/**
 * Its bindrs.
 */
bindrs: string[]
/**
 * Additional metadata.
 */
metadata: {
[k: string]: unknown
}
sync?: SyncOfRecord
heard?: Heard
/**
 * The processes that opened it, the oldest first.
 * 
 * Items: An opening of the record by a process.
 */
openings: {
/**
 * Its id.
 */
id: string
/**
 * The generation: overlapping openings share it; an opening after all others were closed starts the next.
 */
generation: number
/**
 * Its status.
 */
status: ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED")
/**
 * The source of its status: alive, its lock is held; ended, the end was recorded; `gone`, the process terminated without recording it; elsewhere, it is on another host, or this is a copy on a server; supervised, its supervisor records the end.
 */
state: ("alive" | "ended" | "gone" | "elsewhere" | "supervised")
/**
 * A time in UTC, with milliseconds.
 */
opened: string
ended: EndedTime
/**
 * The experiment.
 */
experiment: (string | null)
/**
 * The task.
 */
task: (string | null)
/**
 * The attempt.
 */
attempt: (number | null)
/**
 * The host.
 */
host: (string | null)
/**
 * The process id.
 */
pid: (number | null)
}[]
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
