"""Queries for squeue and sacct, the parsers of their answers, and the meaning of job states. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from nemorun_cli.model.attempt_end import AttemptEnd, from_exit_code, lost
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Phase = Literal["queued", "running", "ending", "over"]

# Every state in squeue's manual, and its phase for exp; docs/guides/slurm.md has the same table.
PHASES: Final[dict[str, Phase]] = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "RESV_DEL_HOLD"), "queued"),
    **dict.fromkeys(("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"), "queued"),
    **dict.fromkeys(("RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"), "running"),
    **dict.fromkeys(("COMPLETING", "STAGE_OUT"), "ending"),
    **dict.fromkeys(("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "PREEMPTED"), "over"),
    **dict.fromkeys(("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "REVOKED", "LAUNCH_FAILED"), "over"),
}

# Why Slurm terminated a job; has precedence over the exit code of the task.
CAUSES: Final[dict[str, tuple[Reason, str]]] = {
    "TIMEOUT": (Reason.TIMEOUT, "it reached its time limit in Slurm"),
    "DEADLINE": (Reason.TIMEOUT, "it reached its deadline in Slurm"),
    "PREEMPTED": (Reason.PREEMPTED, "Slurm preempted it"),
    "NODE_FAIL": (Reason.NODE_FAIL, "its node failed"),
    "BOOT_FAIL": (Reason.NODE_FAIL, "its node did not boot"),
    "LAUNCH_FAILED": (Reason.NODE_FAIL, "its node could not start it"),
    "OUT_OF_MEMORY": (Reason.OOM, "it used more memory than Slurm allocated"),
}

REQUEUED: Final = ("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD")

# What a job waits for, by the reason in Slurm's answer; others are limits, whose names explain them.
REASONS: Final[dict[str, str]] = {
    "Priority": "jobs of higher priority come first",
    "Resources": "it is the next one, and waits for free nodes, CPUs, memory or GPUs",
    "Dependency": "it waits for other jobs",
    "BeginTime": "its begin time is in the future",
    "JobHeldUser": "it is held; release it: scontrol release JOB",
    "JobHeldAdmin": "an administrator holds it; ask them to release it",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition accepts no jobs",
    "PartitionTimeLimit": "its time limit is above that of the partition; lower `time`",
    "PartitionNodeLimit": "it requests more nodes than the partition allows",
    "PartitionConfig": "its request does not match the partition",
    "ReqNodeNotAvail": "a node that it needs is down, drained or reserved",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "no node that fits is available"
    ),
    "Reservation": "its reservation has not started",
    "ReservationDeleted": "its reservation no longer exists",
    "Licenses": "its licenses are in use",
    "JobArrayTaskLimit": "max_parallel members of its array run already",
    "AssociationJobLimit": "your account runs as many jobs as it may",
    "QOSMaxJobsPerUserLimit": "you run as many jobs as the QOS allows",
    "QOSMaxCpuPerUserLimit": "you use as many CPUs as the QOS allows",
    "QOSMaxGRESPerUser": "you use as many GPUs as the QOS allows",
    "QOSGrpCpuLimit": "all jobs of the QOS use as many CPUs as it allows",
    "AssocGrpCpuLimit": "your account uses as many CPUs as it may",
    "AssocGrpGRES": "your account uses as many GPUs as it may",
    "AssocMaxJobsLimit": "your account runs as many jobs as it may",
    "InvalidAccount": "its account does not exist",
    "InvalidQOS": "its QOS does not exist",
    "BadConstraints": "no node satisfies its constraint",
    "launch failed requeued held": "its node could not start it; release it: scontrol release JOB",
    "job requeued in held state": "it was requeued and is held; release it: scontrol release JOB",
}

MIN_MOVE: Final = 600.0  # seconds by which an estimated start has to move to be reported again
MIN_MOVE_FRACTION: Final = 0.1  # the same, as a fraction of the whole wait
SEPARATOR: Final = "\x1f"
# `-o`, because older versions truncate the columns of `-O`. The name is free text and therefore comes last;
# `--array` prints one line per array job.
_SQUEUE_FIELDS: Final = ("%i", "%T", "%V", "%S", "%e", "%r", "%Z", "%o", "%j")
_SACCT_FIELDS: Final = ("JobID", "State", "Submit", "Start", "End", "ExitCode", "JobName", "WorkDir")
SQUEUE: Final = (
    "squeue", "--noheader", "--array", "--states=all", f"--format={SEPARATOR.join(_SQUEUE_FIELDS)}"
)  # fmt: skip
SACCT: Final = (
    "sacct", "--noheader", "--parsable2", "--allocations", f"--delimiter={SEPARATOR}",
    f"--format={','.join(_SACCT_FIELDS)}",
)  # fmt: skip
_JOB_ID: Final = re.compile(r"\d+(_(\d+|\[[0-9,-]+(%\d+)?\])|\+\d+)?")
_STATE: Final = re.compile(r"[A-Z_]+")
_NO_EXIT_CODE: Final = None
SCRIPT: Final = "script"  # in a submission's folder: the input of sbatch
LONG_BEFORE: Final = 86_400.0  # seconds; more than any two clocks differ
NEVER: Final = "DependencyNeverSatisfied"  # the reason of a job whose dependency can no longer be met


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A job as squeue or sacct reports it; times in Unix seconds, None where Slurm has none.

    `start` is the actual or expected start; `code` is the exit code as a shell reports it, known only to
    accounting; `folder` is the working directory, and `command` the path of the script.
    """

    job_id: str
    state: str
    name: str
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    reason: str | None = None
    code: int | None = None
    folder: str | None = None
    command: str | None = None

    @property
    def phase(self) -> Phase | None:
        """The phase of the state; None for an unknown state."""
        return PHASES.get(self.state)


def parse_squeue(text: str) -> Iterator[QueueRow]:
    """The jobs in the output of `SQUEUE`, run with `SLURM_TIME_FORMAT=%s`."""
    for fields in _rows(text, count=len(_SQUEUE_FIELDS)):
        job_id, state, submit, start, end, reason, folder, command, name = fields
        yield QueueRow(
            job_id=job_id,
            state=state,
            name=name,
            submit=_time(submit),
            start=_time(start),
            end=_time(end),
            reason=None if reason in ("None", "(null)") else reason,
            folder=folder or None,
            command=command or None,
        )


def parse_sacct(text: str) -> Iterator[QueueRow]:
    """The jobs in the output of `SACCT`, run with `SLURM_TIME_FORMAT=%s`."""
    for fields in _rows(text, count=len(_SACCT_FIELDS)):
        job_id, state, submit, start, end, code, name, *places = fields
        yield QueueRow(
            job_id=job_id,
            state=state.partition(" ")[0],  # CANCELLED by 1000
            name=name,
            submit=_time(submit),
            start=_time(start),
            end=_time(end),
            code=_exit_code(code),
            folder=places[0] if places else None,
        )


def _rows(text: str, *, count: int) -> Iterator[list[str]]:
    """The lines that are rows, of which the last field may be missing where accounting has no folder.

    Other lines are a site's banner, or the rest of a name with a line break.
    """
    for line in text.splitlines():
        fields = line.split(SEPARATOR, count - 1)
        if (
            len(fields) >= count - (count == len(_SACCT_FIELDS))
            and _JOB_ID.fullmatch(fields[0])
            and _STATE.fullmatch(fields[1].partition(" ")[0])
        ):
            yield fields


def foreign_text(text: str) -> str | None:
    """What was printed instead of rows, if no line is a row; a query without any job prints nothing."""
    return None if any(_rows(text, count=len(_SQUEUE_FIELDS))) else " ".join(text.split()) or None


def is_of(row: QueueRow, *, name: str, made: float, folder: str = "") -> bool:
    """Whether a job belongs to a submission: a job that reuses its id has another folder and another name.

    Sites may change names, and wrappers of sbatch the path of the script; the submission's folder, which is
    the job's working directory, is left as it is. A job that was submitted long before does not belong to the
    submission: ids and names may both have been reused.
    """
    is_there = bool(folder) and (row.folder == folder or row.command == f"{folder}/{SCRIPT}")
    is_ours = is_there or row.name == name
    return is_ours and (row.submit is None or row.submit > made - LONG_BEFORE)


def waiting_message(row: QueueRow) -> str:
    """Why a job waits, as Slurm reports it, and when Slurm expects it to start."""
    text = f"Slurm: {row.state}" if row.state != "PENDING" else "waiting in Slurm's queue"
    if row.reason:
        text += f": {row.reason}"
        if meaning := REASONS.get(row.reason.partition(",")[0]):
            text += f" ({meaning})"
    if row.state == "PENDING" and row.start is not None:
        text += f"; Slurm expects it to start at {stamp(row.start)}"
    return text


def is_news(before: QueueRow, row: QueueRow, *, now: float) -> bool:
    """Whether a change is worth reporting; small moves of the estimated start are not.

    An estimate after `now` that is missing in the later row is no news: Slurm's scheduler clears estimates
    and makes new ones every few seconds.
    """
    if (before.state, before.reason) != (row.state, row.reason):
        return True
    if row.start is None and before.start is not None and before.start > now:
        return False
    if before.start is None or row.start is None:
        return before.start is not row.start
    moved = abs(row.start - before.start)
    return moved > max(MIN_MOVE, MIN_MOVE_FRACTION * (row.start - (row.submit or row.start)))


def ending_of(row: QueueRow) -> AttemptEnd:
    """The end of an attempt without an exit record, according to Slurm."""
    if cause := CAUSES.get(row.state):
        reason, message = cause
        return AttemptEnd(
            status=TaskStatus.FAILED, reason=reason, message=message, started=row.start, ended=row.end
        )
    if row.state == "CANCELLED":
        return AttemptEnd(
            status=TaskStatus.CANCELLED,
            reason=Reason.CANCELLED,
            message="it was cancelled in Slurm, not by exp",
            ended=row.end,
        )
    if row.state == "FAILED" and row.code:
        return from_exit_code(row.code, started=row.start, ended=row.end)
    return lost(f"Slurm reports {row.state} for job {row.job_id}, which left no exit record")


def expand(job_id: str) -> Sequence[str]:
    """The job ids that an id of squeue stands for: three for `7_[1-2,5%3]`, any other id for itself."""
    array = re.fullmatch(r"(\d+)_\[([0-9,-]+)(?:%\d+)?\]", job_id)
    if not array:
        return (job_id,)
    ids = []
    for part in array[2].split(","):
        first, _, last = part.partition("-")
        ids += [f"{array[1]}_{index}" for index in range(int(first), int(last or first) + 1)]
    return ids


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _exit_code(text: str) -> int | None:
    code, _, signal = text.partition(":")
    if not (code.isdigit() and signal.isdigit()):
        return _NO_EXIT_CODE
    return int(code) or (128 + int(signal) if int(signal) else 0)
