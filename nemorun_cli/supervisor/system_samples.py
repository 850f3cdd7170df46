"""Samples of what running attempts use of CPU, memory and GPUs, at the interval of the spec.

The executors measure; the queries of nvidia-smi are those of `gpu_peaks`. Nothing here waits for either.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import age

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.executors import Job, Key
    from nemorun_cli.model.usage_sample import UsageSample
    from nemorun_cli.supervisor.dispatch import Dispatcher
    from nemorun_cli.supervisor.gpu_peaks import GpuPeaks

GPU_PATIENCE: Final = 25.0  # seconds that a row waits for nvidia-smi, which may take 20; then it has no GPUs

WRITE_TIME: Final = 0.02  # seconds of one turn for writing rows: the first one of a task makes its record


@dataclass(slots=True)
class _SampledAttempt:
    job: Job
    due: float  # monotonic
    is_baseline: bool  # the next sample is only what the one after it is compared with
    asked: float = 0.0  # monotonic; when the last sample was asked for
    waiting: UsageSample | None = None  # for nvidia-smi


class SystemSamples:
    """Samples attempts from an age of one interval on.

    The first sample of an attempt is taken as soon as it is old enough; all further ones together with those
    of other attempts, at multiples of the interval on the monotonic clock: one look serves all of them.
    A supervisor that adopts attempts therefore continues at the times of the one before.

    Args:
        interval: seconds.
        dispatcher: has the executors, which measure.
        gpus: has the queries of nvidia-smi.
        write: records a row.
    """

    def __init__(
        self,
        interval: float,
        *,
        dispatcher: Dispatcher,
        gpus: GpuPeaks,
        write: Callable[[str, int, float, dict[str, Any]], None],
    ) -> None:
        self._interval = interval
        self._dispatcher, self._gpus, self._write = dispatcher, gpus, write
        self._attempts: dict[Key, _SampledAttempt] = {}
        self._waiting: dict[Key, _SampledAttempt] = {}
        self._rows: deque[tuple[Key, float, dict[str, Any]]] = deque()  # that are not written yet
        self._next = math.inf  # monotonic; the least `due`

    @property
    def due(self) -> float | None:
        """The monotonic time at which `look` has something to do; None while it has nothing."""
        if self._rows:
            return time.monotonic()
        ends = (attempt.asked + GPU_PATIENCE for attempt in self._waiting.values())
        due = min(self._next, *ends) if self._waiting else self._next
        return None if due == math.inf else due

    def begin(self, job: Job, *, since: float | None, is_adopted: bool) -> None:
        """Sample an attempt that runs since this moment (Unix seconds; None: since now), until it ends."""
        if job.key in self._attempts or not self._dispatcher.can_measure(job):
            return
        now = time.monotonic()
        first = now - (0.0 if since is None else max(0.0, age(since))) + self._interval
        is_baseline = is_adopted and first < now
        self._attempts[job.key] = _SampledAttempt(job, now if is_baseline else first, is_baseline)
        self._next = min(self._next, self._attempts[job.key].due)

    def end(self, key: Key) -> None:
        """Write what was sampled of an attempt that has ended, and forget it."""
        if attempt := self._attempts.pop(key, None):
            self._finish(attempt, is_over=True)
            own = [row for row in self._rows if row[0] == key]
            for row in own:
                self._rows.remove(row)
                self._write_row(row)

    def close(self) -> None:
        """Write what was sampled."""
        while self._rows:
            self._write_row(self._rows.popleft())

    def look(self) -> None:
        """Ask for samples that are due, and write those that have arrived; call it after `GpuPeaks.look`."""
        if not self._attempts:
            return
        begun = now = time.monotonic()
        if now >= self._next:
            self._ask(now)
        for key, sample in self._dispatcher.samples():
            if attempt := self._attempts.get(key):
                self._take(attempt, sample)
        for attempt in list(self._waiting.values()):
            self._finish(attempt)
        while self._rows and time.monotonic() < begun + WRITE_TIME:
            self._write_row(self._rows.popleft())

    def _write_row(self, row: tuple[Key, float, dict[str, Any]]) -> None:
        key, at, fields = row
        self._write(*key, at, fields)

    def _ask(self, now: float) -> None:
        due = [attempt for attempt in self._attempts.values() if attempt.due <= now]
        for attempt in due:
            attempt.asked = now
            attempt.due = self._later(now)
        self._next = min(attempt.due for attempt in self._attempts.values())
        self._dispatcher.sample([attempt.job for attempt in due])
        if any(self._gpus.gpus_of(attempt.job.key, since=now) is None for attempt in due):
            self._gpus.hurry()

    def _later(self, now: float) -> float:
        """The next common time, at least half an interval from now."""
        return math.ceil((now + self._interval / 2) / self._interval) * self._interval

    def _take(self, attempt: _SampledAttempt, sample: UsageSample) -> None:
        if attempt.is_baseline:
            attempt.is_baseline = False
            return
        self._finish(attempt, is_over=True)  # an earlier one that still waits
        attempt.waiting = sample
        self._waiting[attempt.job.key] = attempt
        self._finish(attempt)

    def _finish(self, attempt: _SampledAttempt, *, is_over: bool = False) -> None:
        """Make the row of an attempt, once its GPUs are known or will not be."""
        if attempt.waiting is None:
            return
        key, sample = attempt.job.key, attempt.waiting
        gpus = self._gpus.gpus_of(key, since=attempt.asked)
        if gpus is None and not is_over and time.monotonic() < attempt.asked + GPU_PATIENCE:
            return
        fields = sample.fields()
        for number, gpu in enumerate(gpus or ()):
            if gpu is not None:
                values = {"memory": gpu.memory, "utilization": gpu.utilization}
                known = {name: value for name, value in values.items() if value is not None}
                fields |= {f"gpu{number}.{name}": value for name, value in known.items()}
        attempt.waiting = None
        self._waiting.pop(key, None)
        if fields:
            self._rows.append((key, sample.time, fields))
