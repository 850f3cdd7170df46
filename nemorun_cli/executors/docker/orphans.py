"""Attempts that run although the engine says that their containers never started.

An engine that crashes after it has started a container, and before it has written that down, takes the
container for a new one when it is back: it can neither end it nor start it, and lets it be removed while
its processes go on. What is left to go by are these, by their mark, and the attempt's own record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import AttemptStatus, process_tree
from nemorun_cli.executors.docker import lifecycle
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import lost
from nemorun_cli.storage import attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.executors import Job, Key

LOOK_EVERY: Final = 1.0  # seconds between looks at the processes
EVIDENCE: Final = "its processes run, and the engine has forgotten that it started them"


class Orphans:
    """The attempts of this kind that one executor looks after."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Job] = {}
        self._stops: dict[Key, process_tree.TreeStop] = {}
        self._next_look = 0.0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._jobs)

    def due(self) -> float | None:
        """The monotonic time of the next look, or None if there is nothing to look at."""
        times = [stop.due for stop in self._stops.values()]
        return min([self._next_look, *times]) if self._jobs else None

    def take(self, job: Job) -> AttemptStatus | None:
        """Look after an attempt, if processes of it are there."""
        if not process_tree.tree(_mark(job), process_tree.scan()):
            return None
        self._jobs[job.key] = job
        self._next_look = time.monotonic() + LOOK_EVERY
        return AttemptStatus(key=job.key, state="running", since=lifecycle.claimed(job), evidence=EVIDENCE)

    def cancel(self, job: Job, signal: str, grace: float) -> None:
        """Begin to end the processes of an attempt."""
        number = attempt_end.signal_number(signal)
        if stop := self._stops.get(job.key):
            stop.hurry(number, grace)
        else:
            self._stops[job.key] = process_tree.TreeStop(mark=_mark(job), signal=number, grace=grace)

    def poll(self) -> Iterator[AttemptStatus]:
        """The ends that have come since."""
        due = self.due()
        now = time.monotonic()
        if due is None or now < due:
            return
        self._next_look = now + LOOK_EVERY
        seen = process_tree.scan()
        for key, job in list(self._jobs.items()):
            stop = self._stops.get(key)
            if stop and stop.due <= now:
                stop.advance(seen)
            if stop.is_done if stop else not process_tree.tree(_mark(job), seen):
                del self._jobs[key]
                self._stops.pop(key, None)
                ending = attempts.read_ending(job.files) or lost(lifecycle.NO_TRACE)
                yield AttemptStatus(
                    key=key, state="over", ending=ending, evidence="its processes and its record"
                )


def _mark(job: Job) -> process_tree.Mark:
    return process_tree.mark(job.files.directory)
