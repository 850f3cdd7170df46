// Generated from schemas/status.schema.json by "npm run types".

/**
 * An experiment's id: its name, the Unix second of its creation, and a number if several were created in that second.
 */
export type Id = string
/**
 * The value of `title` in the spec.
 */
export type ExperimentTitle = (string | null)
/**
 * The name of the experiment.
 */
export type ExperimentName = string
/**
 * The status of an experiment. INTERRUPTED: not finished, and nothing is running that could finish it.
 */
export type ExperimentStatus = ("RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "INTERRUPTED")
/**
 * The outcome of the tasks, once they have finished; handlers, which may still be running, do not change it.
 */
export type Outcome = ("COMPLETED" | "FAILED" | "CANCELLED" | null)
/**
 * The folder of the experiment.
 */
export type ExperimentDirectory = string
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
 * When it was created.
 */
export type CreatedTime = (Time | null)
/**
 * A time in UTC, with milliseconds.
 */
export type Time = string
/**
 * Seconds since its first start in which a supervisor or a task ran, until its end or now; null before the start.
 */
export type ActiveOfExperiment = (number | null)
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
 * Why the backends of its live tasks were not asked, so that these tasks are UNKNOWN: this home did not create the experiment, and --observe was not given. Null if they were asked, or need not be.
 */
export type NotObserved = (string | null)
/**
 * How much of it, and of its records, has not arrived on the server that its spec names; null without a server.
 */
export type SyncOfExperiment = ({
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
 * The groups, matrices and searches included.
 * 
 * Items: One group.
 */
export type GroupsOfExperiment = {
/**
 * Its id.
 */
id: string
/**
 * The number of its members.
 */
members: number
/**
 * How many of them are SUCCEEDED and were not pruned.
 */
done: number
/**
 * How many of them are SUCCEEDED because their search pruned them.
 */
pruned: number
/**
 * How many of those that are done took the results of an earlier success.
 */
cached: number
}[]
/**
 * By what the members are compared: the key of a metric, or `outputs.KEY`.
 */
export type MetricOfBest = string
/**
 * Which values are better.
 */
export type GoalOfBest = ("minimize" | "maximize")
/**
 * Its id: that of its task, or in a search of a group what the ids of its tasks begin with.
 */
export type IdOfTrial = string
/**
 * Its number in the search, from 1.
 */
export type NumberOfTrial = number
/**
 * The values that it is compared by, one for each goal.
 */
export type ValuesOfTrial = number[]
/**
 * The tasks with a search.
 */
export type SearchesOfExperiment = Search[]
/**
 * The other members that are as good: the first in order has won.
 */
export type TiedMembers = string[]
/**
 * The members that cannot be the best.
 * 
 * Items: One member, and why it cannot.
 */
export type ExcludedMembers = {
/**
 * Its id.
 */
task: string
/**
 * It is not SUCCEEDED; it was pruned; it does not have the metric or the output; or the last or the compared value is NaN or infinite.
 */
reason: ("status" | "pruned" | "missing" | "not_finite")
/**
 * The same as text for people, which follows its id.
 */
message: string
}[]
/**
 * The best member of each group that has the key `best`.
 * 
 * Items: One group.
 */
export type BestMembers = {
/**
 * The group, or the task with a matrix.
 */
group: string
metric: MetricOfBest
goal: GoalOfBest
/**
 * The id of the best member; null if it is not chosen yet, or if no member qualifies.
 */
winner: (string | null)
/**
 * The value by which it won; null without a winner.
 */
value: (number | null)
tied: TiedMembers
excluded: ExcludedMembers
/**
 * Why nothing could be compared, such as a key that matches several metrics; else null.
 */
message: (string | null)
}[]
/**
 * The task's id; the id of a member begins with the id of its group.
 */
export type TaskId = string
/**
 * Its number in the order of the spec, from 0.
 */
export type TaskIndex = number
/**
 * The status of a task.
 */
export type TaskStatus = ("PENDING" | "SUBMITTED" | "RUNNING" | "UNKNOWN" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "SKIPPED")
/**
 * The name of its executor in the spec.
 */
export type ExecutorName = string
/**
 * The type of its executor.
 */
export type ExecutorType = string
/**
 * The group that it is a member of.
 */
export type GroupOfTask = (string | null)
/**
 * The reason for the status, null if none exists: the values that this version knows. Readers must accept others.
 */
export type Reason = (ReasonWord | null)
/**
 * The reason: the values that this version knows. Readers must accept others.
 */
export type ReasonWord = ("exit" | "signal" | "timeout" | "oom" | "preempted" | "node_fail" | "lost" | "dependency" | "when" | "limit" | "cancelled" | "abandoned" | "template" | "launch" | "outputs" | "outcome" | "until" | "target" | "diverged" | "pruned" | "cached")
/**
 * The same as text for users.
 */
export type Message = (string | null)
/**
 * Seconds from start to end, or until now.
 */
export type Duration = (number | null)
/**
 * Its duration without pauses of the experiment in which it did not run, such as after the loss of its host.
 */
export type ActiveOfTask = (number | null)
/**
 * The ids of the tasks it depends on; groups are expanded to their members.
 */
export type DependencyIds = string[]
/**
 * The outcome for which a handler runs.
 */
export type Handler = ("on_success" | "on_failure" | "on_exit" | null)
/**
 * Of a task of a trial: the params and the result of the trial; null for all other tasks.
 */
export type TrialOfTask = ({
id: IdOfTrial
number: NumberOfTrial
/**
 * The suggested values by the names of the params; null before the suggestion.
 */
params: ({
[k: string]: unknown
} | null)
outcome: OutcomeOfTrial
/**
 * The values that it is compared by; null unless it is complete.
 */
values: (number[] | null)
pruned_at: PrunedAt
pruned_value: PrunedValue
message: MessageOfTrial
} | null)
/**
 * How it ended, as the sampler sees it; null before that.
 */
export type OutcomeOfTrial = ("complete" | "pruned" | "failed" | null)
/**
 * The step, else the epoch, else the number of the row at which it was pruned; null if it was not.
 */
export type PrunedAt = (number | null)
/**
 * The value at which it was pruned; null if it was not.
 */
export type PrunedValue = (number | null)
/**
 * Why it has no values; null if it has, or has not ended.
 */
export type MessageOfTrial = (string | null)
/**
 * The series of its rows.
 */
export type UnmatchedSeries = string
/**
 * The pattern.
 */
export type UnmatchedPattern = string
/**
 * It matched no line; it matched only texts that are no numbers, such as 0,5; or it was too slow and was given up.
 */
export type UnmatchedReason = ("never" | "text" | "slow")
/**
 * The key of the metric, as in the spec.
 */
export type UnjudgedMetric = string
/**
 * There is no such metric; it has no number; or several metrics have that name. Later versions may add reasons.
 */
export type UnjudgedReason = string
/**
 * The metrics that the record has instead; if the name is ambiguous, those with that name.
 */
export type UnjudgedNames = string[]

/**
 * What `exp status --json` prints; with a TASK, `tasks` contains only the matching tasks.
 */
export interface StatusDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.status/1"
id: Id
title?: ExperimentTitle
name: ExperimentName
status: ExperimentStatus
outcome?: Outcome
directory: ExperimentDirectory
owner?: OwnerOfHome
home?: NameOfHome
heard?: Heard
created: CreatedTime
/**
 * When a supervisor first started it.
 */
started: (Time | null)
/**
 * When it ended; null before that.
 */
ended: (Time | null)
active?: ActiveOfExperiment
/**
 * The value of --key.
 */
key: (string | null)
/**
 * Where it is tracked.
 */
prefix: (string | null)
/**
 * Its description in the spec.
 */
description: (string | null)
/**
 * The tags of the spec, as `exp tag` changed them.
 */
tags: string[]
notes?: Notes
/**
 * The value of `bindrs` in the spec.
 */
bindrs: string[]
not_observed: NotObserved
sync?: SyncOfExperiment
supervisor: Supervisor
counts: Counts
/**
 * The tasks with a matrix or a search.
 */
sweeps?: Sweep[]
groups?: GroupsOfExperiment
searches?: SearchesOfExperiment
best?: BestMembers
/**
 * The tasks in the order of the spec.
 */
tasks: Task[]
}
/**
 * The supervisor process of the experiment.
 */
export interface Supervisor {
/**
 * The state of the supervisor: alive; `gone` (terminated before the experiment finished); ended; elsewhere (on another host, which is not contacted).
 */
state: ("alive" | "gone" | "ended" | "elsewhere")
/**
 * The process id of the supervisor.
 */
pid: (number | null)
/**
 * The host of the supervisor.
 */
host: (string | null)
/**
 * Why the supervisor cannot write the ledger, while it cannot: it then starts and records nothing, and tries again.
 */
problem: (string | null)
/**
 * Whether a supervisor that is alive responds: false if it is stopped, in a frozen cgroup, or has not read a request for some seconds; null if none is alive, or this cannot be known on this host.
 */
responding?: (boolean | null)
}
/**
 * The number of tasks by status; statuses without tasks are omitted.
 */
export interface Counts {
[k: string]: number
}
/**
 * The progress of a task with a matrix or a search.
 */
export interface Sweep {
/**
 * The task, which is the group of its members.
 */
id: string
/**
 * The axes of its matrix, or the params of its search.
 */
axes: string[]
/**
 * The number of its members.
 */
members: number
counts: Counts
/**
 * The estimated remaining seconds, from the durations so far and the number of members that run at once; null if unknown.
 */
seconds_left: (number | null)
}
/**
 * A search: what it looks for, how far it is, and what it has found.
 */
export interface Search {
/**
 * The task, which is the group of its trials.
 */
id: string
/**
 * What the trials are compared by, one for each goal.
 */
metrics: MetricOfBest[]
/**
 * Which values are better, one for each metric.
 */
goals: GoalOfBest[]
/**
 * How many trials start at most.
 */
trials: number
/**
 * What suggests params.
 */
sampler: string
/**
 * What stops hopeless trials; null for nothing.
 */
pruner: (string | null)
/**
 * The seed of all suggestions.
 */
seed: number
/**
 * The number of trials by their results.
 */
counts: {
/**
 * With values.
 */
complete: number
/**
 * Stopped as hopeless.
 */
pruned: number
/**
 * Failed, or ended without values.
 */
failed: number
/**
 * In an engine.
 */
running: number
/**
 * Not started yet.
 */
pending: number
/**
 * Cancelled.
 */
cancelled: number
/**
 * Never started, and will not be.
 */
skipped: number
}
/**
 * The best complete trial so far, of equal ones the first; null without one, and with several goals.
 */
best: (FoundTrial | null)
/**
 * With several goals the complete trials that no other one dominates; else empty.
 */
front: FoundTrial[]
/**
 * The estimated remaining seconds; null if unknown.
 */
seconds_left: (number | null)
/**
 * The estimate and what it is based on, as text for people; null if unknown.
 */
estimate: (string | null)
}
/**
 * A complete trial.
 */
export interface FoundTrial {
id: IdOfTrial
/**
 * The id of its task that has the first value.
 */
task: string
number: NumberOfTrial
params: ParamsOfTrial
values: ValuesOfTrial
}
/**
 * The suggested values by the names of the params, without those whose `when` is false.
 */
export interface ParamsOfTrial {
[k: string]: unknown
}
/**
 * One task.
 */
export interface Task {
id: TaskId
index: TaskIndex
status: TaskStatus
executor: ExecutorName
type: ExecutorType
/**
 * Its id in the engine: a pid, a container, a Slurm job.
 */
job_id: (string | null)
/**
 * The folder of its latest attempt, with log, exit.json and outputs; null before the first attempt.
 */
directory: (string | null)
/**
 * The current or next attempt, from 1.
 */
attempt: number
/**
 * The exit code; null if none exists or it is unknown; 128+n if signal n terminated it.
 */
exit_code: (number | null)
group: GroupOfTask
reason: Reason
message: Message
/**
 * When the experiment was created.
 */
created: (Time | null)
/**
 * When its latest attempt started.
 */
started: (Time | null)
/**
 * When its latest attempt ended.
 */
ended: (Time | null)
duration: Duration
active?: ActiveOfTask
dependencies: DependencyIds
/**
 * What it depends on outside of the experiment.
 */
external?: External[]
/**
 * The outputs of its latest attempt, from $EXP_OUTPUT.
 */
outputs: {

}
/**
 * The source of this status.
 */
evidence: (string | null)
/**
 * The attempt whose result it has, if it did not run because nothing that it depends on had changed; else null.
 */
cached_from?: (Origin | null)
handler?: Handler
trial?: TrialOfTask
/**
 * Its matrix values; empty for a task without a matrix.
 */
matrix?: {
[k: string]: string | number | boolean
}
resources?: Resources
/**
 * The resource usage of its latest attempt: peak memory in bytes, CPU time in seconds, peak GPU memory in bytes; each only if it was measured. Null if not measured.
 */
usage?: (Usage | null)
/**
 * The patterns of its `metrics` that matched nothing in any attempt that ended, or that were given up.
 * 
 * Items: One pattern.
 */
unmatched_metrics?: {
series: UnmatchedSeries
pattern: UnmatchedPattern
reason: UnmatchedReason
}[]
/**
 * The metrics of its `stop` that its latest attempt had no value of when it ended.
 * 
 * Items: One metric.
 */
unjudged_metrics?: {
metric: UnjudgedMetric
reason: UnjudgedReason
names: UnjudgedNames
}[]
}
/**
 * Another experiment, a task or group of it, or a job of Slurm.
 */
export interface External {
/**
 * The id of the experiment.
 */
experiment: (string | null)
/**
 * The task or group of it; null for the whole.
 */
task: (string | null)
/**
 * The id of the job.
 */
slurm_job: (string | null)
/**
 * How it ended: SUCCEEDED, FAILED, CANCELLED, SKIPPED, or UNKNOWN if that is not known any more; null before that is recorded.
 */
status: (string | null)
}
/**
 * An attempt of an experiment of the same home.
 */
export interface Origin {
/**
 * The id of the experiment, which may have been removed since.
 */
experiment: string
task: TaskId
/**
 * The number of the attempt.
 */
attempt: number
}
/**
 * The resources that it requests: cpus, memory in bytes, gpus.
 */
export interface Resources {
/**
 * A number of CPUs.
 */
cpus?: number
/**
 * Bytes of memory.
 */
memory?: number
/**
 * A number of GPUs.
 */
gpus?: number
}
/**
 * The resource usage of an attempt; each only if it was measured.
 */
export interface Usage {
/**
 * Peak memory in bytes; for local tasks that of the largest process.
 */
memory?: number
/**
 * CPU time of all its processes, in seconds.
 */
cpu?: number
/**
 * The most memory in use on its GPUs together, in bytes, in samples of nvidia-smi while it ran.
 */
gpu_memory?: number
}
