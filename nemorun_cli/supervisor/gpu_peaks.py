"""The peak GPU memory of running attempts, from samples of nvidia-smi that the supervisor never waits for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.usage import Usage
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job, Key
    from nemorun_cli.system.gpu_query import GpuMemory, MemoryQuery

FIRST: Final = 2.0  # seconds from the start of an attempt to its first sample
LONGEST: Final = 60.0  # seconds; the longest pause between samples
REST: Final = 10.0  # a pause is at least so many times as long as the last query took


@dataclass(slots=True)
class _WatchedAttempt:
    gpus: Sequence[str]
    are_numbers_certain: bool
    exit_record: Path
    since: float  # monotonic
    peak: int | None = None

    def had_gpus(self, asked: float) -> bool:
        """Whether the GPUs were its own from this time until now: others may get them at its exit record."""
        is_over = os.path.lexists(self.exit_record) or not self.exit_record.parent.is_dir()
        return self.since <= asked and not is_over


class GpuPeaks:
    """Samples all GPUs at once, at growing intervals, while an attempt runs that has some for itself.

    With `is_use_wanted` it also asks how busy they are, for `gpus_of`.
    """

    def __init__(self, *, is_use_wanted: bool = False) -> None:
        self._is_use_wanted = is_use_wanted
        self._answer: tuple[float, list[GpuMemory]] | None = None  # when it was requested, and the GPUs
        self._attempts: dict[Key, _WatchedAttempt] = {}
        self._query: MemoryQuery | None = None
        self._pauses = Backoff(first=FIRST, longest=LONGEST)
        self._next = 0.0  # monotonic; the time of the next query
        self._rests_until = 0.0  # monotonic; no query starts before

    @property
    def due(self) -> float | None:
        """The monotonic time at which `look` has something to do; None while it has nothing."""
        if self._query is not None:
            return self._query.due
        return self._next if self._attempts else None

    def begin(
        self, job: Job, gpus: Sequence[str], *, is_container: bool, variables: Iterable[str] | None
    ) -> None:
        """Sample these GPUs, named as in `CUDA_VISIBLE_DEVICES`, until the attempt ends.

        `variables` are those that its task sets; None for an adopted attempt, whose supervisor may have had
        others itself than this process has. Engines of containers use the numbers of nvidia-smi.
        """
        if job.key in self._attempts:
            return
        from nemorun_cli.system.gpu_query import has_order_of_nvidia_smi  # noqa: PLC0415 - few attempts have GPUs

        are_certain = is_container or (variables is not None and has_order_of_nvidia_smi(variables))
        is_first = not self._attempts
        self._attempts[job.key] = _WatchedAttempt(gpus, are_certain, job.files.exit, time.monotonic())
        self._pauses.reset()
        if self._query is None:
            soon = max(self._pauses.due(), self._rests_until)
            self._next = soon if is_first else min(soon, self._next)

    def end(self, key: Key) -> Usage | None:
        """Forget an attempt; returns its peak if it was sampled."""
        attempt = self._attempts.pop(key, None)
        return None if attempt is None or attempt.peak is None else Usage(gpu_memory=attempt.peak)

    def look(self) -> None:
        """Take the answer of a query that has ended, or start one; call it after the ends of attempts."""
        if self._query is not None:
            if self._query.has_ended():
                self._take(self._query)
        elif self._attempts and time.monotonic() >= self._next:
            from nemorun_cli.system import gpu_query  # noqa: PLC0415 - it is loaded

            query = gpu_query.USE_QUERY if self._is_use_wanted else gpu_query.MEMORY_QUERY
            self._query = gpu_query.MemoryQuery.start(query)
            if self._query is None:
                self._next = self._pauses.due()

    def _take(self, query: MemoryQuery) -> None:
        from nemorun_cli.system.gpu_query import memory_in_use  # noqa: PLC0415 - it is loaded

        self._query = None
        found = query.gpus()
        self._answer = query.asked, found
        for attempt in self._attempts.values():
            are_certain = attempt.are_numbers_certain
            memory = memory_in_use(attempt.gpus, found, are_numbers_certain=are_certain)
            if memory is not None and attempt.had_gpus(query.asked):
                attempt.peak = max(memory, attempt.peak or 0)
        self._rests_until = time.monotonic() + REST * query.seconds
        self._next = max(self._pauses.due(), self._rests_until)

    def hurry(self) -> None:
        """Let the next query begin as soon as the pause after the last one permits."""
        if self._query is None:
            self._next = min(self._next, max(time.monotonic(), self._rests_until))

    def gpus_of(self, key: Key, *, since: float) -> list[GpuMemory | None] | None:
        """The GPUs of an attempt by a query of this monotonic time or later; None before it has answered.

        One that is not certainly known is None in the list; an attempt without GPUs has an empty list.
        """
        attempt = self._attempts.get(key)
        if attempt is None:
            return []
        if self._answer is None or self._answer[0] < since:
            return None
        from nemorun_cli.system.gpu_query import chosen  # noqa: PLC0415 - it is loaded

        asked, found = self._answer
        if not attempt.had_gpus(asked):
            return []
        return chosen(attempt.gpus, found, are_numbers_certain=attempt.are_numbers_certain)

    def close(self) -> None:
        """End a query that is still running."""
        if self._query is not None:
            self._query.close()
            self._query = None
