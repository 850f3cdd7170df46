"""The records that ML-Dash's clients write: their openings, and appends that are durable and stored once.

A client does not identify itself with its rows, only when it opens and ends a record. So each open makes
an opening, whose id is in the id of the node that only its client gets. The rows of openings that overlap are
in the files of the first one: in one file, the rows of each client keep their order. A client may terminate
without a request: its opening stays RUNNING, as that of any process which cannot be checked here, until
somebody ends it, or the record is opened again after SILENCE.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import NotFoundError, StateError
from nemorun_cli.experiment.records import growing_files
from nemorun_cli.model import clock
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.model.status import Reason
from nemorun_cli.serve.mldash.remembered_rows import ROWS, Memory
from nemorun_cli.system.files import descriptor_to_change, read_bytes, sync, write_whole
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.metrics import ABOUT
from nemorun_cli.tracking.process import process_info
from nemorun_cli.tracking.store import json_values, sessions
from nemorun_cli.tracking.store.file_index import FileIndex
from nemorun_cli.tracking.store.presence import Presence
from nemorun_cli.tracking.store.record_paths import RECORD, Place
from nemorun_cli.tracking.store.row_files import generation_of
from nemorun_cli.tracking.store.row_writer import Writer
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.tracking.store.sessions import Session

CLIENT: Final = "ml-dash"  # in the first line of an opening: through which API it was made
SILENCE: Final = 900.0  # seconds without a row after which an opening is lost if the record is opened again
MOST_HELD: Final = 1_000  # records without a request in progress that are kept in memory
MOST_MADE: Final = 64  # openings of a record that its tree shows
SLICE: Final = 50_000  # rows that are written at once


class ApiSender(NamedTuple):
    """Who sends a request, and from which address."""

    user: str
    address: str


class DurableWriter(Writer):
    """A writer whose lines survive a power failure once `append` returns; it keeps no file open.

    It continues the files of an earlier process of the server, after a crash behind their last complete line:
    for what follows, no client had an answer.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        super().__init__()
        self._changed = changed

    def _open_file(self, folder: str) -> int:
        descriptor = super()._open_file(folder)
        growing_files.cut_incomplete(descriptor)
        return descriptor

    def append(self, folder: str, line: bytes) -> None:
        """Append lines to this writer's file in a folder, and sync it.

        Raises:
            StateError: the record was moved or removed.
            OSError: they could not be written; the file is unchanged.
        """
        with self._lock:
            is_new = not os.path.exists(self._path(folder))
            super().append(folder, line)
            descriptor = self._descriptors.pop(folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                sync(folder)
                sync(os.path.dirname(folder))
            self._changed(self._path(folder))


class HeldRecord:
    """One record, and what this process knows about its openings; use its methods with `lock` held."""

    def __init__(
        self,
        place: Place,
        memory: Memory,
        changed: Callable[[str, str], None],
        take: Callable[[str, int], None],
    ) -> None:
        self.place = place
        self.lock = threading.RLock()
        self.users = 0
        self._memory = memory
        self._changed = changed
        self._take = take
        self._made: tuple[str, ...] = ()
        self._current: str | None = None
        self._writer = DurableWriter(self._note)
        self._index: FileIndex | None = None

    def _note(self, path: str) -> None:
        self._changed(self.place.prefix, path.removeprefix(f"{self.place.record}/"))

    def open(self, about: Mapping[str, Any], who: ApiSender) -> str:
        """Open the record for a client, which is RUNNING from then on; returns the id of the opening."""
        self._close_silent()
        is_new = not os.path.isdir(self.place.openings)
        session = OpenSession.start(self.place, about=about, process=_facts(who))
        session.release()  # it is not the lock of the client
        self._made = (*self._made[-MOST_MADE:], session.id)
        if self._current is None or generation_of(self._current) != generation_of(session.id):
            self._use(session.id)
        path = self.place.opening(session.id)
        sync(path)
        _sync_folders(self.place.openings, self.place.root if is_new else self.place.record)
        self._note(path)
        return session.id

    def _use(self, opening: str) -> None:
        self._current = opening
        self._index = None
        self._writer.open(opening, Presence(self.place.opening(opening), 0, None, None))

    def made(self) -> list[str]:
        """The openings that this process made."""
        return list(self._made)

    def running(self) -> list[str]:
        """The openings of clients that have not ended, oldest first."""
        return [each.id for each in self._openings() if each.state != "ended"]

    def _openings(self) -> list[Session]:
        """The openings of clients, oldest first."""
        if not os.path.isdir(self.place.openings):
            return []
        found = [each for each in sessions.read_all(self.place)[0] if each.facts.get("client") == CLIENT]
        made = {opening: index for index, opening in enumerate(self._made)}
        # two that were made in one millisecond have the same time
        return sorted(found, key=lambda each: (each.generation, each.opened, made.get(each.id, -1)))

    def _close_silent(self) -> None:
        """End the openings that a client left without a word, before the record is opened again."""
        left = [each for each in self._openings() if each.state != "ended"]
        if not left or time.time() - (last := self._last_written()) < SILENCE:
            return
        self._verdict(
            [each.id for each in left],
            Status.FAILED,
            reason=str(Reason.LOST),
            message=f"its client sent nothing after {clock.stamp(last)}, and the record was opened again",
        )

    def _last_written(self) -> float:
        latest = 0.0
        for folder, _, names in os.walk(self.place.record):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    latest = max(latest, os.stat(f"{folder}/{name}").st_mtime)
        return latest

    def end(self, status: Status, *, opening: str = "") -> None:
        """End an opening; without one, all that have not ended, or the latest. The last word holds.

        Raises:
            NotFoundError: there is no such opening of a client.
        """
        known = {each.id: each for each in self._openings()}
        chosen = [opening] if opening else [each.id for each in known.values() if each.state != "ended"]
        chosen = chosen or list(known)[-1:]
        if not chosen or chosen[0] not in known:
            raise NotFoundError(f"the record {self.place.prefix!r} has no such opening")
        for each in chosen:
            self._end(known[each], status)

    def _end(self, session: Session, status: Status) -> None:
        if session.state != "ended":
            path = self.place.opening(session.id)
            descriptor = descriptor_to_change(path, creates=False, appends=True)
            OpenSession(self.place, session.id, descriptor).end(status)
            sync(path)
            self._note(path)
        elif session.status is not status:
            self._verdict([session.id], status)

    def _verdict(
        self, openings: list[str], status: Status, *, reason: str | None = None, message: str | None = None
    ) -> None:
        place = self.place
        reader.close_openings(
            place.root,
            place.prefix,
            exp_id=None,
            status=status,
            reason=reason,
            message=message,
            only=openings,
            author="client",
        )
        for opening in openings:
            sync(place.verdict(opening))
            self._note(place.verdict(opening))
        sync(place.openings)

    def write(self, folder: str, data: bytes, who: ApiSender) -> None:
        """Append lines to the files of the record; if no client has opened it, it is opened.

        Raises:
            StoreRefusal: the quota of its owner is reached.
        """
        self._take(self.place.prefix, len(data))
        for is_last in (False, True):
            self._require_opening(who)
            try:
                self._writer.append(folder, data)
            except StateError:  # the record was moved or removed: its rows go to a new one
                self._current = None
                if is_last:
                    raise
            else:
                return

    def _require_opening(self, who: ApiSender) -> None:
        if self._current is not None and os.path.exists(self.place.opening(self._current)):
            return
        self._current = None
        found = self._openings()
        if found:  # by a process of the server before this one
            self._use(next(each.id for each in found if each.generation == found[-1].generation))
        else:
            self.open({}, who)

    def index(self, who: ApiSender) -> FileIndex:
        """The index of the saved files, to be changed."""
        self._require_opening(who)
        if self._index is None:
            self._index = FileIndex(self.place, self._writer)
        return self._index

    def append_once(self, folder: str, lines: Iterable[list[bytes]], body: bytes, who: ApiSender) -> int:
        """Append the lines of a body that are not stored yet; returns how many were.

        Args:
            folder: of the stream.
            lines: those of the body, in order, in batches.
            body: the digest of the body.
            who: sends it.
        """
        memory = self._memory.of(folder)
        memory.load(folder, ROWS)
        if memory.has_body(body):
            return 0
        memory.begin_body()
        stored = read = 0
        for part in _slices(lines):
            read += len(part)
            memory.load(folder, read)
            if fresh := memory.new(part):
                self.write(folder, b"".join(fresh), who)
                memory.add(fresh, keep=read)
                stored += len(fresh)
        memory.add_body(body)
        return stored

    def describe(self, folder: str, about: Mapping[str, Any]) -> None:
        """Store the description of a metric, if it is another one than before."""
        path = f"{folder}/{ABOUT}"
        data = f"{json_values.dump(dict(about))}\n".encode("ascii")
        with contextlib.suppress(FileNotFoundError):
            if read_bytes(path, follows_link=False) == data:
                return
        if not os.path.isdir(folder):  # none of the rows was stored
            return
        write_whole(path, data, is_durable=True)
        self._note(path)

    def report(self, text: str, metadata: Mapping[str, Any], who: ApiSender) -> None:
        """Write a line to the record's log about what was not stored, for the one who looks for it."""
        line = {"level": "error", "message": text, "metadata": dict(metadata)}
        self.write(self.place.logs, json_values.encode_row(time.time(), line), who)


def _slices(batches: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    for lines in batches:
        part += lines
        if len(part) >= SLICE:
            yield part
            part = []
    if part:
        yield part


def _facts(who: ApiSender) -> dict[str, Any]:
    """The facts about a client; with the address as its host, it is not a process of this machine."""
    return {
        "exp_id": None,
        "task": None,
        "attempt": None,
        "rank": None,
        "host": f"{who.address} ({CLIENT})",
        "boot": "",
        "user": who.user,
        "client": CLIENT,
        "server": process_info.host(),
    }


def _sync_folders(folder: str, last: str) -> None:
    """Sync a folder and those above it up to another one."""
    while True:
        sync(folder)
        if folder == last or len(folder) <= len(last):
            return
        folder = os.path.dirname(folder)


def _take_nothing(prefix: str, size: int) -> None:
    """Count nothing."""


class HeldRecords:
    """The records with requests in progress, and the last ones without.

    Args:
        root: the folder of all records.
        changed: is called with the prefix and the path of each file that was written.
        take: is called with the prefix and the bytes before rows are written.
    """

    def __init__(
        self,
        root: str,
        changed: Callable[[str, str], None],
        take: Callable[[str, int], None] = _take_nothing,
    ) -> None:
        self._root = root
        self._changed = changed
        self._take = take
        self._memory = Memory()
        self._lock = threading.Lock()
        self._records: OrderedDict[str, HeldRecord] = OrderedDict()

    def place(self, prefix: str) -> Place:
        """Where a record is."""
        return Place(self._root, prefix)

    def openings(self, prefix: str) -> list[str]:
        """The openings that this process made in a record, as far as it remembers them."""
        held = self._records.get(prefix)
        return [] if held is None else held.made()

    @contextlib.contextmanager
    def locked(self, prefix: str) -> Iterator[HeldRecord]:
        """A record, for one thread."""
        with self._lock:
            held = self._records.pop(prefix, None) or HeldRecord(
                self.place(prefix), self._memory, self._changed, self._take
            )
            self._records[prefix] = held
            held.users += 1
            self._forget()
        try:
            with held.lock:
                yield held
        finally:
            with self._lock:
                held.users -= 1

    def _forget(self) -> None:
        if len(self._records) <= MOST_HELD:
            return
        idle = next((prefix for prefix, held in self._records.items() if not held.users), None)
        if idle is not None:
            del self._records[idle]


def is_record(folder: str) -> bool:
    """Whether a folder is that of a record."""
    return os.path.isdir(f"{folder}/{RECORD}/openings")
