// Generated from schemas/why.schema.json by "npm run types".

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
 * A time in UTC, with milliseconds.
 */
export type Time = string
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
 * When it ended.
 */
export type EndedTime = (Time | null)

/**
 * What `exp why --json` prints.
 */
export interface WhyDocument {
/**
 * The document type and its version; later releases may add fields.
 */
schema: "exp.why/1"
id: Id
name: ExperimentName
status: ExperimentStatus
sync?: SyncOfExperiment
/**
 * The failures of a sweep or a part of it, grouped by cause, the most frequent first; empty for other tasks.
 * 
 * Items: Failures with the same cause.
 */
failures?: {
/**
 * The last line of the traceback, or else the reason, of the first failure.
 */
message: string
/**
 * The number of tasks that failed with it.
 */
count: number
/**
 * Their ids.
 */
tasks: string[]
}[]
/**
 * The searches that the requested tasks belong to.
 */
searches?: (Search & {
/**
 * Sentences about its best, its trials, and what it waits for.
 */
explanation: string[]
})[]
best?: BestMembers
/**
 * The requested tasks, each as in exp.status/1, with the causes of its status.
 */
tasks: (Task & {
/**
 * The signal that ended it.
 */
signal: (string | null)
/**
 * The causes of its status, the nearest first.
 */
causes: Cause[]
/**
 * The path from a skipped task to the original failure.
 */
chain: Cause[]
/**
 * The line at which bash ended its inline text; null if it is not known.
 */
failed_line?: ({
/**
 * Its number, from 1.
 */
line: number
/**
 * The file, if the text read it with `source`; null for the text itself.
 */
file: (string | null)
/**
 * The line; null if it is not known.
 */
text: (string | null)
} | null)
/**
 * The end of the log of its latest attempt, if relevant; secrets are masked.
 */
log: (Excerpt | null)
/**
 * What the backend and login files printed about its latest attempt, if anything; secrets are masked.
 */
backend_output?: (Excerpt | null)
/**
 * All attempts, the oldest first.
 */
attempts: Attempt[]
/**
 * What a resume would do with it; null while a supervisor runs it.
 */
resume: ({
/**
 * The task.
 */
task: string
action: ("keep" | "adopt" | "wait" | "run")
/**
 * The reason.
 */
reason: string
/**
 * The attempt after the resume.
 */
attempt: number
} | null)
/**
 * What is known about the reuse of its result; null without `cache`, and before that is looked up.
 */
reuse?: ({
/**
 * The id of all that its result depends on; null if that cannot be determined.
 */
fingerprint: (string | null)
/**
 * The newest earlier success of the task in an experiment of the same name, if it ran.
 */
compared_with: (Origin | null)
/**
 * The parts of the fingerprint that differ from those of that success.
 */
changed: ChangedPart[]
/**
 * Whether its own result is kept for later experiments; null if that is not decided.
 */
kept: (boolean | null)
/**
 * Whence its result is, or why it ran, in a sentence.
 */
message: (string | null)
/**
 * Why an earlier result was not used, or why its own is not kept.
 */
note: (string | null)
} | null)
})[]
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
/**
 * A cause of the status of a task.
 */
export interface Cause {
/**
 * A word for scripts: a reason of exp.status/1, or what the task waits for. Later versions may add words.
 */
kind: string
/**
 * The same as text for users.
 */
message: string
/**
 * The task that is the cause.
 */
task: (string | null)
/**
 * Its status.
 */
status: (TaskStatus | null)
/**
 * The start or the end of the cause.
 */
time: (Time | null)
/**
 * Who requested it.
 */
by: (string | null)
}
/**
 * The end of a text, and the line in it that most likely shows the error.
 */
export interface Excerpt {
/**
 * The path of the whole text.
 */
path: string
/**
 * Its last lines.
 */
lines: string[]
/**
 * The line that most likely shows the error.
 */
error: (string | null)
}
/**
 * A submitted attempt.
 */
export interface Attempt {
/**
 * Its number, from 1.
 */
attempt: number
status: TaskStatus
/**
 * When it was submitted to its executor.
 */
submitted: (Time | null)
/**
 * When it started.
 */
started: (Time | null)
ended: EndedTime
duration: Duration
active?: ActiveOfTask
/**
 * The exit code; null if none exists or it is unknown.
 */
exit_code: (number | null)
reason: Reason
message: Message
/**
 * Its id in the engine.
 */
job_id: (string | null)
/**
 * The resource usage: peak memory in bytes, CPU time in seconds, peak GPU memory in bytes; each only if it was measured. Null if not measured.
 */
usage: (Usage | null)
}
/**
 * A part of a fingerprint: its digest, or its text if that is short.
 */
export interface ChangedPart {
/**
 * Its name.
 */
part: string
/**
 * Of the success; null if it is new.
 */
before: (string | null)
/**
 * Of this task; null if it was removed.
 */
after: (string | null)
}
