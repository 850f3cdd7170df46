"""Asks Slurm how jobs ended that `exp` did not submit, and that tasks wait for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.squeue import SACCT, SQUEUE, parse_sacct, parse_squeue
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors.background_commands import CommandResult, PendingCommand
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.squeue import QueueRow

FIRST: Final = 1.0  # seconds until a job that has not ended is asked for again
LONGEST: Final = 30.0  # the same, after many questions
_UNKNOWN_JOB: Final = "Invalid job id"
_NO_ACCOUNTING: Final = "accounting storage is disabled"

_ENDS: Final = {"COMPLETED": TaskStatus.SUCCEEDED, "CANCELLED": TaskStatus.CANCELLED}
_WORST_FIRST: Final = (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SUCCEEDED)


@dataclass(slots=True)
class _Question:
    """What is known about one job: the answer that is pending, and when the next question is due."""

    pauses: Backoff = field(default_factory=lambda: Backoff(first=FIRST, longest=LONGEST))
    pending: PendingCommand | None = None
    is_for_accounting: bool = False
    due: float = 0.0


class ForeignJobs:
    """The jobs that were asked for, by id."""

    def __init__(self, commands: SlurmCommands) -> None:
        self._commands = commands
        self._questions: dict[str, _Question] = {}

    def end(self, job_id: str) -> AttemptEnd | None:
        """The end of a job, or None while it has not ended, or Slurm has not answered.

        The end of a job that Slurm does not know any more has the reason `lost`.
        """
        question = self._questions.setdefault(job_id, _Question())
        self._commands.collect()
        if question.pending is None:
            if time.monotonic() >= question.due:
                self._ask(question, job_id)
            return None
        result = question.pending.answer()
        if result is None:
            return None
        question.pending, question.due = None, question.pauses.due()
        return self._read(question, job_id, result)

    def _ask(self, question: _Question, job_id: str) -> None:
        argv = [*SACCT, f"--jobs={job_id}"] if question.is_for_accounting else [*SQUEUE, f"--jobs={job_id}"]
        question.pending = self._commands.ask(argv)

    def _read(self, question: _Question, job_id: str, result: CommandResult) -> AttemptEnd | None:
        if question.is_for_accounting:
            question.is_for_accounting = False
            if not (result.is_good or _NO_ACCOUNTING in result.complaint):
                return None  # it does not answer
            rows = _of(parse_sacct(result.output), job_id)
            return _end_of(rows) if rows else _gone(job_id)
        if not result.is_good and _UNKNOWN_JOB not in result.complaint:
            return None  # Slurm does not answer
        rows = _of(parse_squeue(result.output), job_id) if result.is_good else []
        if not rows:
            question.is_for_accounting = True
            self._ask(question, job_id)
            return None
        return _end_of(rows)


def _of(rows: Iterable[QueueRow], job_id: str) -> list[QueueRow]:
    """The rows of a job: one, or those of all members of an array or of a heterogeneous job."""
    members = (f"{job_id}_", f"{job_id}+")
    return [row for row in rows if row.job_id == job_id or row.job_id.startswith(members)]


def _end_of(rows: Sequence[QueueRow]) -> AttemptEnd | None:
    """The end of all members, or None while one has not ended; the worst one counts."""
    if not rows or any(row.phase != "over" for row in rows):
        return None
    statuses = [_ENDS.get(row.state, TaskStatus.FAILED) for row in rows]
    worst = next(status for status in _WORST_FIRST if status in statuses)
    row = rows[statuses.index(worst)]
    return AttemptEnd(status=worst, message=f"Slurm reports {row.state}", ended=row.end)


def _gone(job_id: str) -> AttemptEnd:
    message = f"Slurm does not know the job {job_id}, so that its end is unknown"
    return AttemptEnd(status=TaskStatus.FAILED, reason=Reason.LOST, message=message)
