"""Has what an experiment records sent to its server: writes markers, starts senders, and waits for nothing.

A sender is a process of its own that reads the markers. Whatever happens to it or to the server, the
experiment continues: an error is logged, once.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.announcement import announce
from nemorun_cli.tracking.access import supervisor_api
from nemorun_cli.tracking.outbox import markers, sender_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.tracking.outbox.markers import Outbox

LOOK_EVERY: Final = 2.0  # seconds between looks for records in further folders, and for senders that ended
LONGEST_PAUSE: Final = 60.0  # seconds before a sender that ends each time is started again


class Shipper:
    """Keeps senders alive for one experiment: for its home, and for each folder that has records of it.

    Args:
        files: of the experiment.
        server: its address.
        root: the folder of the experiment's own records.
        report: called with an error, the first time that it occurs.
    """

    def __init__(
        self, files: ExperimentFiles, server: str, *, root: str | Path, report: Callable[[str], object]
    ) -> None:
        self._files, self._server, self._report = files, server, report
        self._outboxes: dict[str, Outbox] = {}
        self._registers: dict[tuple[str, int], int] = {}  # the sizes of those that were read
        self._errors: set[str] = set()
        self._next_look = 0.0
        self._pauses: dict[str, float] = {}  # by outbox: seconds until its sender may be started again
        self._due: dict[str, float] = {}
        self._has_begun = False
        self._add(markers.of_home(str(files.home), server))
        self._add(markers.of_records(os.path.abspath(root), server))  # noqa: PTH100 - as tracking does it

    def mark_record(self, root: str, prefix: str, opening: str) -> None:
        """Have a record sent that this process has opened."""
        outbox = markers.of_records(root, self._server)
        self._add(outbox)
        try:
            markers.mark(outbox, opening, prefix=prefix, opening=opening)
        except OSError as error:
            self._tell(f"{prefix} is not sent to {self._server}: {error.strerror}")

    def look(self, attempts: Iterable[tuple[str, int]]) -> None:
        """Start the senders that are missing; every LOOK_EVERY seconds.

        Args:
            attempts: those that run, whose programs may have opened records in any folder.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        if not self._has_begun:
            self._has_begun = True
            self._mark()
        for task, attempt in attempts:
            self.look_at(task, attempt)
        for outbox in self._outboxes.values():
            self._keep_alive(outbox, now)

    def look_at(self, task: str, attempt: int) -> None:
        """Note the folders in which an attempt has opened records."""
        register = self._files.attempt(task, attempt).records
        try:
            size = os.stat(register).st_size  # noqa: PTH116 - of each attempt that runs
            if self._registers.get((task, attempt)) == size:
                return
            for root, _ in supervisor_api.registered(register, inside=self._files.directory):
                self._add(markers.of_records(root, self._server))
        except OSError:  # most attempts have none; another error is looked at again
            return
        self._registers[task, attempt] = size

    def close(self) -> None:
        """Have all sent that was recorded, also what was since the last look."""
        self._mark()
        for outbox in self._outboxes.values():
            if _has_markers(outbox):
                sender_process.ensure(outbox)

    def _mark(self) -> None:
        if (problem := announce(self._files, self._server, starts_sender=False)) is not None:
            self._tell(problem)

    def _add(self, outbox: Outbox) -> None:
        self._outboxes.setdefault(outbox.folder, outbox)

    def _keep_alive(self, outbox: Outbox, now: float) -> None:
        if now < self._due.get(outbox.folder, 0.0) or not _has_markers(outbox):
            return
        if sender_process.is_alive(outbox):
            self._pauses.pop(outbox.folder, None)
            return
        pause = min(LONGEST_PAUSE, 2 * self._pauses.get(outbox.folder, LOOK_EVERY / 2))
        self._pauses[outbox.folder], self._due[outbox.folder] = pause, now + pause
        if not sender_process.ensure(outbox):
            self._tell(f"no process can be started that sends to {self._server}: exp sync does it")

    def _tell(self, text: str) -> None:
        if text not in self._errors:
            self._errors.add(text)
            self._report(f"sync: {text}")


def _has_markers(outbox: Outbox) -> bool:
    try:
        with os.scandir(outbox.pending) as entries:
            return any(True for _ in entries)
    except OSError:
        return False
