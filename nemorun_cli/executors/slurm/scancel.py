"""Cancels jobs: queued ones are removed; running ones receive a signal and, after a grace period, KILL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.escalation import KILL, Escalation
from nemorun_cli.executors.slurm.job_script import KILL_NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterable

BETWEEN: Final = 0.1  # seconds between a command and the next one, which requires its effect
KILLING: Final = 1.0  # seconds that a job script has to kill its task before Slurm terminates the job
AGAIN: Final = 5.0  # seconds until scancel is repeated for a job that still exists

_SIGNAL, _KILL, _CANCEL = "signal", "kill", "cancel"
_NEXT: Final = {_SIGNAL: _KILL, _KILL: _CANCEL, _CANCEL: _CANCEL}

Command = tuple[str, ...]


class JobStop:
    """The cancellation of one job.

    Args:
        signal: a signal's short name.
        grace: seconds from it to KILL.
        by_steps: whether the task runs under srun, whose steps Slurm signals itself.
    """

    def __init__(self, *, signal: str, grace: float, by_steps: bool) -> None:
        self._escalation, self._by_steps = Escalation(signal, grace), by_steps
        self._stage = _SIGNAL
        self.first_sent: float | None = None  # the monotonic time of the first command
        self.due = self.requested = time.monotonic()

    def hurry(self, *, signal: str, grace: float) -> None:
        """Change the signal or shorten the grace period; a KILL that was already sent is not undone."""
        is_other = signal != self._escalation.signal
        self._escalation.hurry(signal, grace)
        if self._stage in (_KILL, _CANCEL):
            self.due = min(self.due, self._escalation.deadline)
        if self._stage == _KILL and is_other:
            self._stage, self.due = _SIGNAL, time.monotonic()

    def next_command(self, *, is_queued: bool) -> Command:
        """The command that is due now, without job ids; schedules the next one.

        A queued job is only removed, and never with `--state=PENDING`: then scancel would remove the whole
        array for one of its jobs.
        """
        now, stage = time.monotonic(), self._stage
        if is_queued:
            stage = _CANCEL
        elif stage == _SIGNAL and self._escalation.is_last:
            stage = _KILL
        if self.first_sent is None:
            self.first_sent = now
        if not is_queued:
            self._stage = _NEXT[stage]
        self.due = now + BETWEEN
        if stage == _SIGNAL:
            self.due = max(self.due, self._escalation.deadline)
        elif stage == _KILL:
            self.due = now + KILLING
        elif stage == _CANCEL:
            self.due = now + AGAIN
        return self._command(stage)

    def next_step_command(self) -> Command:
        """The same for one step of a job whose other steps continue: its signal, then KILL until it ends."""
        now = time.monotonic()
        signal = KILL if self._stage != _SIGNAL else self._escalation.next_signal()
        self.first_sent, self._stage = self.first_sent or now, _KILL
        self.due = now + AGAIN if signal == KILL else max(now + BETWEEN, self._escalation.deadline)
        return ("scancel", "--quiet", f"--signal={signal}")

    def _command(self, stage: str) -> Command:
        if stage == _SIGNAL:
            # Slurm signals steps; without srun the job script receives the signal and forwards it.
            target = () if self._by_steps else ("--batch",)
            return ("scancel", "--quiet", *target, f"--signal={self._escalation.signal}")
        if stage == _KILL:
            # The job script kills all processes of the task. scancel alone would wait for KillWait, and kill
            # only the processes that the cluster's process tracking finds.
            return ("scancel", "--quiet", "--batch", f"--signal={KILL_NOTICE}")
        return ("scancel", "--quiet")


def grouped(commands: Iterable[tuple[Command, str]]) -> list[list[str]]:
    """Join equal commands into one for all of their job ids."""
    ids_by_command: dict[Command, list[str]] = {}
    for command, job_id in commands:
        ids_by_command.setdefault(command, []).append(job_id)
    return [[*command, *dict.fromkeys(ids)] for command, ids in ids_by_command.items()]
