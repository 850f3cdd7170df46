"""The submissions that Slurm has not accepted yet: one call of sbatch at a time, with growing pauses."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm import sbatch_answer
from nemorun_cli.executors.slurm.sbatch_answer import Accepted
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nemorun_cli.executors.background_commands import PendingCommand
    from nemorun_cli.executors.slurm.dependency import Batch
    from nemorun_cli.executors.slurm.sbatch_answer import Refused
    from nemorun_cli.executors.slurm.submissions import Submission

FIRST_PAUSE: Final = 1.0  # seconds until sbatch is called again after Slurm did not accept a job
LONGEST_PAUSE: Final = 60.0  # the same, after many tries
MOST_IDLE_REFUSALS: Final = 2  # by a limit while the user has no job, until the limit permits none


class SbatchQueue:
    """Calls sbatch for one submission after the other.

    Args:
        send: calls sbatch for the members of a submission.
    """

    def __init__(self, send: Callable[[Submission, Batch], PendingCommand]) -> None:
        self._send = send
        self._waiting: deque[tuple[Submission, Batch]] = deque()
        self._pending: tuple[Submission, Batch, PendingCommand] | None = None
        self._pauses = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._next = 0.0  # the monotonic time of the next call
        self._limit: Refused | None = None  # the limit of jobs in the queue that Slurm reported last
        self._accepted = 0.0  # the monotonic time at which Slurm last accepted a job
        self._refused: dict[str, float] = {}  # by submission, when a limit refused it last
        self._idle_refusals: Counter[str] = Counter()  # by submission, while the user had no job

    def add(self, submission: Submission, batch: Batch, *, is_next: bool = False) -> None:
        """Submit this after, or with `is_next` before, all others."""
        if is_next:
            self._waiting.appendleft((submission, batch))
        else:
            self._waiting.append((submission, batch))

    def answers(self) -> Iterator[tuple[Submission, Batch, Accepted | Refused]]:
        """The new answers of sbatch; calls it for the next submission when the previous one is answered.

        While a limit is reached, jobs that would be queued early yield to others: sbatch is not called.
        """
        while True:
            if self._pending:
                submission, batch, command = self._pending
                result = command.answer()
                if result is None:
                    return
                self._pending = None
                submission.sent = time.monotonic()
                answer = sbatch_answer.read(result)
                self._pace(answer)
                yield submission, batch, answer
            if not self._waiting or time.monotonic() < self._next:
                return
            submission, batch = self._waiting.popleft()
            if submission.is_early and self._limit:
                yield submission, batch, self._limit
            else:
                self._pending = submission, batch, self._send(submission, batch)

    def _pace(self, answer: Accepted | Refused) -> None:
        if isinstance(answer, Accepted):
            self._pauses.reset()
            self._limit, self._next = None, 0.0
            self._accepted = time.monotonic()
        elif answer.kind != "never":
            self._next = self._pauses.due()
            if answer.kind == "limit":
                self._limit = answer

    def is_hopeless(self, submission: Submission, *, idle_since: float | None) -> bool:
        """Whether a limit refused a submission repeatedly although the user had no job at all.

        Args:
            submission: it was refused just now.
            idle_since: the monotonic time at which squeue was asked and listed no unfinished job of the
                user; None if it listed one. An answer from before a change is no evidence.
        """
        name, now = submission.name, time.monotonic()
        since = max(self._refused.get(name, now), self._accepted)
        self._refused[name] = now
        is_idle = idle_since is not None and idle_since > since
        self._idle_refusals[name] = self._idle_refusals[name] + 1 if is_idle else 0
        return self._idle_refusals[name] >= MOST_IDLE_REFUSALS

    def withdraw(self, is_unwanted: Callable[[Submission], bool]) -> list[Submission]:
        """Remove submissions for which sbatch has not been called, and return them."""
        removed = [entry for entry in self._waiting if is_unwanted(entry[0])]
        for entry in removed:
            self._waiting.remove(entry)
        return [submission for submission, _ in removed]

    def hurry(self) -> None:
        """Call sbatch soon if a limit is reached: a job has ended, so that another one may be accepted."""
        if self._limit:
            self._pauses.reset()
            self._next = min(self._next, time.monotonic() + FIRST_PAUSE)

    @property
    def due(self) -> float | None:
        """The monotonic time of the next call; None while one is pending, or if nothing waits."""
        return self._next if self._waiting and not self._pending else None
