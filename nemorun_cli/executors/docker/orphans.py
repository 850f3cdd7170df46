"""Attempts that run although the engine reports that their containers never started.

An engine that crashes after starting a container and before recording the start treats the container as
new after its restart: it can neither stop nor start it, and allows its removal while its processes
continue. Such an attempt is tracked by the processes with its marker and by its exit record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import AttemptStatus, process_tree
from nemorun_cli.executors.docker import lifecycle
from nemorun_cli.executors.escalation import Escalation
from nemorun_cli.model.attempt_end import lost
from nemorun_cli.storage import attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.executors import Job, Key

SCAN_EVERY: Final = 1.0  # seconds between scans of the processes
EVIDENCE: Final = "its processes run, and the engine has no record of starting them"


class Orphans:
    """The orphaned attempts that an executor tracks."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Job] = {}
        self._stops: dict[Key, process_tree.TreeStop] = {}
        self._next_scan = 0.0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._jobs)

    def due(self) -> float | None:
        """The monotonic time of the next scan, or None if no attempt is tracked."""
        times = [stop.due for stop in self._stops.values()]
        return min([self._next_scan, *times]) if self._jobs else None

    def adopt(self, job: Job) -> AttemptStatus | None:
        """Track an attempt if it has processes; return its status, or None."""
        if not process_tree.tree(_mark(job), process_tree.scan()):
            return None
        self._jobs[job.key] = job
        self._next_scan = time.monotonic() + SCAN_EVERY
        return AttemptStatus(key=job.key, state="running", since=lifecycle.claimed(job), evidence=EVIDENCE)

    def cancel(self, job: Job, signal: str, grace: float) -> None:
        """Start to terminate the processes of an attempt."""
        if stop := self._stops.get(job.key):
            stop.hurry(signal, grace)
        else:
            self.take_over(job, Escalation(signal, grace))

    def take_over(self, job: Job, escalation: Escalation) -> None:
        """Continue to terminate the processes of an attempt whose container can no longer be signalled."""
        self._stops[job.key] = process_tree.TreeStop(
            mark=_mark(job), escalation=escalation, folder=job.files.directory
        )

    def poll(self) -> Iterator[AttemptStatus]:
        """The attempts that have ended since the last call."""
        due = self.due()
        now = time.monotonic()
        if due is None or now < due:
            return
        self._next_scan = now + SCAN_EVERY
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
    return process_tree.mark_of_attempt(job.files.directory)
