"""The states of tasks and experiments, the reasons they carry, and the one table of allowed moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class TaskStatus(StrEnum):
    """What a task can be; see `MOVES` for what may follow what."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


class ExperimentStatus(StrEnum):
    """What an experiment can be; INTERRUPTED is never written, it is found by looking."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


class Reason(StrEnum):
    """Why a task is where it is: a closed list, for scripts."""

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


ENDS: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED})
LIVE: Final = frozenset({TaskStatus.SUBMITTED, TaskStatus.RUNNING, TaskStatus.UNKNOWN})

# From a state to those that may follow it. A move from an end back to PENDING is a new attempt
# (a retry or a resume). A submission in doubt may be repeated, hence SUBMITTED to SUBMITTED. What was queued
# early may be given back by its engine without having begun, hence SUBMITTED and UNKNOWN to PENDING.
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

# The word of `retry.on` that stands for each reason; reasons that are not here are never retried.
RETRIED_AS: Final[dict[Reason, str]] = {
    Reason.EXIT: "exit",
    Reason.SIGNAL: "exit",
    Reason.OOM: "oom",
    Reason.TIMEOUT: "timeout",
    Reason.PREEMPTED: "preempted",
    Reason.NODE_FAIL: "node_fail",
    Reason.LOST: "lost",
}

EXIT_CODES: Final[dict[ExperimentStatus, int]] = {
    ExperimentStatus.COMPLETED: 0,
    ExperimentStatus.FAILED: 1,
    ExperimentStatus.RUNNING: 4,
    ExperimentStatus.CANCELLED: 5,
    ExperimentStatus.INTERRUPTED: 9,
}
