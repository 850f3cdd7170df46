"""How a job is ended: what waits is taken back, what runs gets its signal and, after a grace period, KILL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.job_script import KILL_NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterable

BETWEEN: Final = 0.1  # seconds from one command to the next that builds on it
KILLING: Final = 1.0  # seconds that a job script has to kill its task before Slurm ends the job
AGAIN: Final = 5.0  # seconds until a job that should be gone is cancelled once more

_SIGNAL, _KILL, _CANCEL = "signal", "kill", "cancel"
_NEXT: Final = {_SIGNAL: _KILL, _KILL: _CANCEL, _CANCEL: _CANCEL}

Command = tuple[str, ...]


class JobStop:
    """One job on its way to its end.

    Args:
        signal: a signal's short name.
        grace: seconds from it to KILL.
        by_steps: whether the task runs under srun, whose steps Slurm signals itself.
    """

    def __init__(self, *, signal: str, grace: float, by_steps: bool) -> None:
        self._signal, self._by_steps = signal, by_steps
        self._stage = _SIGNAL
        self.told: float | None = None  # the monotonic time of the first command
        self.due = self.made = time.monotonic()
        self._deadline = self.due if signal == "KILL" else self.due + grace

    def hurry(self, *, signal: str, grace: float) -> None:
        """Begin again with another signal or a shorter grace period; one that kills already goes on."""
        now = time.monotonic()
        self._deadline = now if signal == "KILL" else min(self._deadline, now + grace)
        if self._stage in (_KILL, _CANCEL) and self.due > self._deadline:
            self.due = self._deadline
        if self._stage == _KILL and signal != self._signal:
            self._stage, self.due = _SIGNAL, now
        self._signal = signal

    def step(self, *, is_queued: bool) -> Command:
        """The beginning of the command that is due now; the next one builds on it.

        What waits is only taken back. Never by `--state=PENDING`, with which scancel takes the whole
        of an array for one of its jobs.
        """
        now, stage = time.monotonic(), self._stage
        if is_queued:
            stage = _CANCEL
        elif stage == _SIGNAL and now >= self._deadline:
            stage = _KILL
        if self.told is None:
            self.told = now
        if not is_queued:
            self._stage = _NEXT[stage]
        self.due = now + BETWEEN
        if stage == _SIGNAL:
            self.due = max(self.due, self._deadline)
        elif stage == _KILL:
            self.due = now + KILLING
        elif stage == _CANCEL:
            self.due = now + AGAIN
        return self._command(stage)

    def step_alone(self) -> Command:
        """The same, for one step of a job whose others go on: its signal, then KILL as often as needed."""
        now = time.monotonic()
        signal = "KILL" if self._stage != _SIGNAL or now >= self._deadline else self._signal
        self.told, self._stage = self.told or now, _KILL
        self.due = max(now + BETWEEN, self._deadline) if signal != "KILL" else now + AGAIN
        return ("scancel", "--quiet", f"--signal={signal}")

    def _command(self, stage: str) -> Command:
        if stage == _SIGNAL:
            # Steps get it from Slurm; else the job script does, and sends it on.
            whom = () if self._by_steps else ("--batch",)
            return ("scancel", "--quiet", *whom, f"--signal={self._signal}")
        if stage == _KILL:
            # The job script kills all that there is of the task; scancel alone would wait for KillWait, and
            # take only what the cluster's way of tracking processes finds.
            return ("scancel", "--quiet", "--batch", f"--signal={KILL_NOTICE}")
        return ("scancel", "--quiet")


def commands(steps: Iterable[tuple[Command, str]]) -> list[list[str]]:
    """One command for all jobs that get the same."""
    grouped: dict[Command, list[str]] = {}
    for command, job_id in steps:
        grouped.setdefault(command, []).append(job_id)
    return [[*command, *dict.fromkeys(ids)] for command, ids in grouped.items()]
