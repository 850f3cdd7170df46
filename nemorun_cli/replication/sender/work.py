"""What one sender has to do for one record or experiment: its markers, and what is on its way."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from nemorun_cli.errors import ExpError
from nemorun_cli.replication.experiment_source import ExperimentSource, ExperimentWatched
from nemorun_cli.replication.record_files import RecordSource
from nemorun_cli.replication.sender import outbox_files
from nemorun_cli.replication.sender.openings import Openings
from nemorun_cli.replication.sender.outgoing import UNREADABLE, Outgoing, SyncProblem
from nemorun_cli.tracking.outbox import notes
from nemorun_cli.tracking.store.record_paths import check_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.replication.client import Client
    from nemorun_cli.replication.record_files import Source
    from nemorun_cli.replication.sender.outbox_files import Marker
    from nemorun_cli.replication.sender.outgoing import Pace
    from nemorun_cli.tracking.outbox.markers import Outbox
    from nemorun_cli.tracking.outbox.notes import Known

NOTE_SHARE: Final = 50  # a note of what the server has takes at most one part in so many of the time
CHANGING: Final = ".diff.part"  # ends the name of uncommitted changes that are being written
LONGEST_CHANGES: Final = 30.0  # seconds without progress after which uncommitted changes will not come
RETRY: Final = 600.0  # seconds after which what was refused is tried again


class Watched(Protocol):
    """How to determine whether something that is shipped can still change."""

    def look(self) -> None:
        """Look at its processes."""

    def is_own_file(self, path: str) -> bool:
        """Whether this machine writes a file of it."""

    def is_over(self, marker: Marker) -> bool:
        """Whether what a marker stands for writes nothing more."""

    @property
    def is_written(self) -> bool:
        """Whether a process of this machine writes to it, as far as the last look has shown."""


class Work:
    """One record or experiment with markers.

    Attributes:
        markers: those read last.
        problem: why it cannot be read here, or None.
    """

    def __init__(self, label: str, source: Source, watched: Watched, pace: Pace, known: Known | None) -> None:
        self.label = label
        self.watched = watched
        self.outgoing = Outgoing(source, pace, is_own_file=watched.is_own_file)
        if known is not None:
            self.outgoing.remember(known)
        self.markers: dict[str, Marker] = {}
        self.problem: SyncProblem | None = None
        self.without_markers_since: float | None = None  # monotonic
        self._next_note = 0.0  # monotonic
        self._noted: Known | None = None
        self._asked: frozenset[str] = frozenset()  # markers of those who want the server asked again

    def look(self) -> None:
        """See which of its processes live, and then how large its files are: in this order none is missed."""
        asked = frozenset(filter(outbox_files.asks_again, self.markers))
        if asked - self._asked:
            self.outgoing.forget()
            self._noted = None
        self._asked = asked
        try:
            if self.markers:
                self.watched.look()
            self.outgoing.retry(age=RETRY)
            self.outgoing.look()
        except (ExpError, OSError) as error:
            self._fails(error)
        else:
            self.problem = None

    def _fails(self, error: Exception) -> None:
        if self.problem is None or self.problem.message != str(error):
            self.problem = SyncProblem(UNREADABLE, str(error), time.time())

    @property
    def is_behind(self) -> bool:
        """Whether there is something that can be sent now."""
        outgoing = self.outgoing
        return not outgoing.is_stuck and any(
            file.path not in outgoing.problems for file in outgoing.pending_files
        )

    @property
    def worst(self) -> SyncProblem | None:
        """A problem that keeps it from being delivered, or None."""
        return self.problem or next(iter(self.outgoing.problems.values()), None)

    def conclude(self, client: Client, outbox: Outbox) -> int:
        """Remove the markers of all that has ended, if the server has all; returns how many.

        Raises:
            RemoteError: of the server or of the way to it.
        """
        over = [marker for marker in self.markers.values() if self.watched.is_over(marker)]
        if not over or self.worst is not None or self.outgoing.pending_files:
            return 0
        if not self.outgoing.confirm(client):
            return 0
        self.note(outbox, is_final=True)
        removed = 0
        try:
            for marker in over:
                outbox_files.remove(outbox, marker)
                del self.markers[marker.name]
                removed += 1
        except OSError as error:
            self._fails(error)
        return removed

    def note(self, outbox: Outbox, *, is_final: bool = False) -> None:
        """Note what the server has, for programs that wait for it and for a later sender."""
        begin = time.monotonic()
        known = self.outgoing.known
        if known == self._noted or not (is_final or begin >= self._next_note):
            return
        with contextlib.suppress(OSError):  # a full disk: it is a hint
            notes.acknowledge(outbox, self.label, known)
            self._noted = notes.Known(dict(known.sizes), dict(known.whole))
        now = time.monotonic()
        self._next_note = now + (now - begin) * NOTE_SHARE


class RecordWatched(Openings):
    """The openings of a record, as what can still change."""

    @property
    def is_written(self) -> bool:
        """Whether one of its processes is alive."""
        return bool(self.alive)

    def is_over(self, marker: Marker) -> bool:
        """Whether the opening of a marker has ended; a change without an opening ends at once."""
        return marker.opening not in self.unended and marker.opening not in self._changing

    _changing: frozenset[str] = frozenset()  # openings whose uncommitted changes are still being written

    def look(self) -> None:
        """Look at uncommitted changes first: those of a short program are written in the background.

        What has its name by then is among the files that are looked at next.
        """
        self._changing = frozenset(self._written())
        super().look()

    def _written(self) -> Iterator[str]:
        with contextlib.suppress(OSError), os.scandir(self._place.environment) as entries:
            for entry in entries:
                if entry.name.endswith(CHANGING):
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - entry.stat(follow_symlinks=False).st_mtime < LONGEST_CHANGES:
                            yield entry.name.removesuffix(CHANGING)


def work_of(marker: Marker, root: str, outbox: Outbox, pace: Pace) -> Work | None:
    """The work that a marker asks for; None if it names nothing that can be shipped.

    Args:
        marker: a marker of the outbox.
        root: the folder of records, or the home, that the outbox belongs to.
        outbox: of the root and the server.
        pace: of the server.
    """
    if marker.experiment is not None and marker.prefix is None:
        experiment = ExperimentSource(_in_home(root, marker.experiment), outbox.url)
        known = notes.acknowledged(outbox, experiment.label)
        return Work(experiment.label, experiment, ExperimentWatched(experiment), pace, known)
    if marker.prefix is None:
        return None
    try:
        source = RecordSource(root, check_prefix(marker.prefix))
    except ExpError:
        return None
    known = notes.acknowledged(outbox, source.label)
    return Work(source.label, source, RecordWatched(source.place), pace, known)


def _in_home(home: str, folder: str) -> Path:
    """The folder of an experiment that a marker names, in this home: it may have been moved since.

    Only there: a task can write markers to a folder of records, and no other folder is sent because of one.
    """
    parts = [part for part in Path(folder).parts[-3:] if part not in {"..", "/"}]
    return Path(home, *parts)
