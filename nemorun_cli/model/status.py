"""The states of tasks and experiments, their reasons, and the table of allowed moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class TaskStatus(StrEnum):
    """The states of a task; `MOVES` lists the allowed transitions."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


class ExperimentStatus(StrEnum):
    """The states of an experiment; INTERRUPTED is never written, only derived when the status is read."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


class Reason(StrEnum):
    """The reasons for a task's status: a closed list, for scripts."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    OOM = "oom"
    PREEMPTED = "preempted"
    NODE_FAIL = "node_fail"
    LOST = "lost"
    DEPENDENCY = "dependency"
    WHEN = "when"
    LIMIT = "limit"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    TEMPLATE = "template"
    LAUNCH = "launch"
    OUTPUTS = "outputs"
    OUTCOME = "outcome"
    UNTIL = "until"
    TARGET = "target"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    CACHED = "cached"


ENDS: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED})
LIVE: Final = frozenset({TaskStatus.SUBMITTED, TaskStatus.RUNNING, TaskStatus.UNKNOWN})

# From each state to the states that may follow it. A move from a final state to PENDING is a new attempt
# (a retry or a resume). An unconfirmed submission may be repeated, hence SUBMITTED to SUBMITTED. A task that
# was queued early may be returned to the scheduler unstarted, hence SUBMITTED and UNKNOWN to PENDING.
MOVES: Final[dict[TaskStatus, frozenset[TaskStatus]]] = {
    TaskStatus.PENDING: frozenset(
        {TaskStatus.SUBMITTED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED}
    ),
    TaskStatus.SUBMITTED: frozenset(TaskStatus),
    TaskStatus.RUNNING: frozenset(
        {
            TaskStatus.RUNNING,
            TaskStatus.UNKNOWN,
            TaskStatus.SUCCEEDED,
            TaskStatus.FAILED,
            TaskStatus.CANCELLED,
        }
    ),
    TaskStatus.UNKNOWN: frozenset(TaskStatus),
    TaskStatus.SUCCEEDED: frozenset({TaskStatus.PENDING}),
    TaskStatus.FAILED: frozenset({TaskStatus.PENDING}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.PENDING}),
    TaskStatus.SKIPPED: frozenset({TaskStatus.PENDING}),
}

# The value of `retry.on` that matches each reason; other reasons are never retried.
RETRIED_AS: Final[dict[Reason, str]] = {
    Reason.EXIT: "exit",
    Reason.SIGNAL: "exit",
    Reason.OOM: "oom",
    Reason.TIMEOUT: "timeout",
    Reason.PREEMPTED: "preempted",
    Reason.NODE_FAIL: "node_fail",
    Reason.LOST: "lost",
    Reason.DIVERGED: "diverged",
}

EXIT_CODES: Final[dict[ExperimentStatus, int]] = {
    ExperimentStatus.COMPLETED: 0,
    ExperimentStatus.FAILED: 1,
    ExperimentStatus.RUNNING: 4,
    ExperimentStatus.CANCELLED: 5,
    ExperimentStatus.INTERRUPTED: 9,
}


def status_named(word: str) -> ExperimentStatus | None:
    """The status of experiments and records that a word in any case means in a filter; None for others.

    SUCCEEDED, the word of tasks, means COMPLETED.
    """
    upper = word.upper()
    if upper == TaskStatus.SUCCEEDED:
        return ExperimentStatus.COMPLETED
    return ExperimentStatus(upper) if upper in set(ExperimentStatus) else None
