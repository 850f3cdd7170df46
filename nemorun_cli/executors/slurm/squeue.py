"""What Slurm says of jobs: the questions for squeue and sacct, their answers, what the states mean. Pure."""

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

# Every state of squeue's manual, and what it is to exp; docs/slurm.md has the same table.
PHASES: Final[dict[str, Phase]] = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "RESV_DEL_HOLD"), "queued"),
    **dict.fromkeys(("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"), "queued"),
    **dict.fromkeys(("RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"), "running"),
    **dict.fromkeys(("COMPLETING", "STAGE_OUT"), "ending"),
    **dict.fromkeys(("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "PREEMPTED"), "over"),
    **dict.fromkeys(("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "REVOKED", "LAUNCH_FAILED"), "over"),
}

# What Slurm did to a job, told whatever exit code the task had by then.
CAUSES: Final[dict[str, tuple[Reason, str]]] = {
    "TIMEOUT": (Reason.TIMEOUT, "it reached its time limit in Slurm"),
    "DEADLINE": (Reason.TIMEOUT, "it reached its deadline in Slurm"),
    "PREEMPTED": (Reason.PREEMPTED, "Slurm preempted it"),
    "NODE_FAIL": (Reason.NODE_FAIL, "its node failed"),
    "BOOT_FAIL": (Reason.NODE_FAIL, "its node did not boot"),
    "LAUNCH_FAILED": (Reason.NODE_FAIL, "its node could not start it"),
    "OUT_OF_MEMORY": (Reason.OOM, "it used more memory than Slurm gave it"),
}

# `-o` and not `-O`, whose columns older versions cut. Free text comes last, so that nothing in it can be
# taken for another field; jobs of an array come one a line.
LITTLE: Final = 600.0  # seconds by which an estimate has to move to be told again
MOVED: Final = 0.1  # or this part of the whole wait
SEPARATOR: Final = "\x1f"
_SQUEUE_FIELDS: Final = ("%i", "%T", "%V", "%S", "%e", "%r", "%j")
SQUEUE: Final = (
    "squeue", "--noheader", "--array", "--states=all", f"--format={SEPARATOR.join(_SQUEUE_FIELDS)}"
)  # fmt: skip
SACCT: Final = (
    "sacct", "--noheader", "--parsable2", "--allocations", f"--delimiter={SEPARATOR}",
    "--format=JobID,State,Submit,Start,End,ExitCode,JobName",
)  # fmt: skip
_NO_EXIT_CODE: Final = None
LONG_BEFORE: Final = 86_400.0  # seconds by which no two clocks differ
NEVER: Final = "DependencyNeverSatisfied"  # the reason of a job that waited for what did not come to pass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A job as squeue or sacct tells it; times in Unix seconds, None where Slurm has none.

    `start` is when it began or is expected to; `code` is its exit code as a shell tells it, which only
    accounting knows.
    """

    job_id: str
    state: str
    name: str
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    reason: str | None = None
    code: int | None = None

    @property
    def phase(self) -> Phase | None:
        """What the state is to exp; None for one that exp does not know."""
        return PHASES.get(self.state)


def parse_squeue(text: str) -> Iterator[QueueRow]:
    """The jobs in an answer of squeue to `SQUEUE`, with `SLURM_TIME_FORMAT=%s`."""
    for line in text.splitlines():
        fields = line.split(SEPARATOR, len(_SQUEUE_FIELDS) - 1)
        if len(fields) != len(_SQUEUE_FIELDS):
            continue  # the rest of a name with a line break in it, which is none of ours
        job_id, state, submit, start, end, reason, name = fields
        yield QueueRow(
            job_id=job_id,
            state=state,
            name=name,
            submit=_time(submit),
            start=_time(start),
            end=_time(end),
            reason=None if reason in ("None", "(null)") else reason,
        )


def parse_sacct(text: str) -> Iterator[QueueRow]:
    """The jobs in an answer of sacct to `SACCT`, with `SLURM_TIME_FORMAT=%s`."""
    for line in text.splitlines():
        job_id, state, submit, start, end, code, name = line.split(SEPARATOR, 6)
        yield QueueRow(
            job_id=job_id,
            state=state.partition(" ")[0],  # CANCELLED by 1000
            name=name,
            submit=_time(submit),
            start=_time(start),
            end=_time(end),
            code=_exit_code(code),
        )


def is_of(row: QueueRow, *, name: str, made: float) -> bool:
    """Whether a job is that of a submission; an id that Slurm gave to another since has another name.

    Nor is it one that was submitted long before, as when both ids and names began anew.
    """
    return row.name == name and (row.submit is None or row.submit > made - LONG_BEFORE)


def waiting_message(row: QueueRow) -> str:
    """Why a job waits, in Slurm's words, and when Slurm expects it to start."""
    text = f"Slurm: {row.state}" if row.state != "PENDING" else "it waits in Slurm's queue"
    if row.reason:
        text += f": {row.reason}"
    if row.state == "PENDING" and row.start is not None:
        text += f"; Slurm expects it to start at {stamp(row.start)}"
    return text


def is_news(before: QueueRow, row: QueueRow) -> bool:
    """Whether there is more to tell than that Slurm moved its estimate a little, as it does all the time."""
    if (before.state, before.reason) != (row.state, row.reason):
        return True
    if before.start is None or row.start is None:
        return before.start is not row.start
    moved = abs(row.start - before.start)
    return moved > max(LITTLE, MOVED * (row.start - (row.submit or row.start)))


def ending_of(row: QueueRow) -> AttemptEnd:
    """How a job ended of which only Slurm can tell."""
    if cause := CAUSES.get(row.state):
        reason, message = cause
        return AttemptEnd(
            status=TaskStatus.FAILED, reason=reason, message=message, started=row.start, ended=row.end
        )
    if row.state == "CANCELLED":
        return AttemptEnd(
            status=TaskStatus.CANCELLED,
            reason=Reason.CANCELLED,
            message="it was cancelled in Slurm, and not by exp",
            ended=row.end,
        )
    if row.state == "FAILED" and row.code:
        return from_exit_code(row.code, started=row.start, ended=row.end)
    return lost(f"Slurm says {row.state} of job {row.job_id}, and it left no exit record")


def expand(job_id: str) -> Sequence[str]:
    """The ids that an id of squeue stands for: `7_[1-2,5%3]` for three members, any other for itself."""
    found = re.fullmatch(r"(\d+)_\[([0-9,-]+)(?:%\d+)?\]", job_id)
    if not found:
        return (job_id,)
    ids = []
    for part in found[2].split(","):
        first, _, last = part.partition("-")
        ids += [f"{found[1]}_{index}" for index in range(int(first), int(last or first) + 1)]
    return ids


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _exit_code(text: str) -> int | None:
    code, _, signal = text.partition(":")
    if not (code.isdigit() and signal.isdigit()):
        return _NO_EXIT_CODE
    return int(code) or (128 + int(signal) if int(signal) else 0)
