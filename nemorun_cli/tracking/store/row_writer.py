"""Writes row files: one JSON object per line, each file appended by a single writer.

A writer is one process of one opening; its name starts with the id of the opening, and so with the
generation (see `sessions`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import StateError
from nemorun_cli.system.files import descriptor_to_change, make_folder, whole
from nemorun_cli.tracking.store.row_files import SUFFIX

if TYPE_CHECKING:
    from nemorun_cli.tracking.store.presence import Presence

MAX_OPEN: Final = 128  # descriptors a writer keeps open; the usual limit of a process is 1,024
LAST_STANDARD_STREAM: Final = 2  # the descriptor of stderr
MOST_LISTED: Final = 3  # paths in a message
BLOCK: Final = 1 << 20  # bytes copied at a time
MOVED: Final = "files of the record were moved or removed while it was open"


class Writer:
    """The row files of one process in one opening.

    An append is one `write` to a descriptor in append mode: the line is in the file when the call returns,
    completely or not at all. The lock is reentrant because a signal handler may append during an append.
    """

    is_off = False  # whether tracking is off, so that nothing is written

    def __init__(self) -> None:
        self.name: str | None = None
        self._lock = RLock()
        self._descriptors: dict[str, int] = {}
        self.presence: Presence | None = None  # of the opening; None for one that a supervisor writes to
        self._is_copy = False
        self._has_ended = False  # noticed by a copy: the process that opened the record has ended it
        self._restored: list[str] = []  # files that were moved or removed, and written again
        self._lost: list[str] = []  # those that could not be, each with the reason

    def __getstate__(self) -> dict[str, Any]:
        """The opening, for a copy in this or in another process, which writes files of its own."""
        return {"name": self.name, "presence": self.presence, "has_ended": self._has_ended}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Writer.__init__(self)
        self._has_ended = state["has_ended"]
        if state["name"] is None:
            return
        from nemorun_cli.tracking.process import copies  # noqa: PLC0415 - few programs copy a record

        self._is_copy = True
        self.presence = state["presence"] and state["presence"].of_copy()
        shared = _shared_by_copies(state["name"].partition(".")[0], self.presence)
        self.name, self._lock, self._descriptors = shared.name, shared.lock, shared.descriptors
        self._notice_end()
        copies.watch(self)

    def open(self, name: str, presence: Presence | None = None) -> None:
        """Start writing under a name that no other process uses, as long as the opening is present."""
        if self._is_copy:  # of an earlier opening, whose files and lock other copies still use
            self._lock, self._descriptors = RLock(), {}
        self._is_copy = self._has_ended = False
        self.name, self.presence, self._restored, self._lost = name, presence, [], []

    def require_open(self) -> None:
        """Raise unless lines can be appended.

        Raises:
            StateError: the record is not open.
        """
        if self.name is not None:
            return
        if self._has_ended:
            raise StateError(
                "the record is not open: the process that opened it has ended it, and this is a copy",
                hint="end the record after the processes that log to it, or open a record in each of them",
            )
        raise StateError(
            "the record is not open", hint="use `with experiment.run:` or experiment.run.start()"
        )

    def require_present(self) -> None:
        """Raise unless files can be created for the record; costs one `stat`.

        Raises:
            StateError: the record is not open, its folder was moved or removed, or this is a copy, and the
                process that opened the record has ended it.
        """
        self.require_open()
        if self.presence is not None:
            self.presence.require()
        if self._is_copy:
            self._notice_end()
            self.require_open()

    def _notice_end(self) -> None:
        if self.presence is not None and self.presence.has_ended():
            if lost := self.secure():
                _warn(lost)
            self.close()
            self._has_ended = True

    def append(self, folder: str, line: bytes) -> None:
        """Append a line to this writer's file in a folder, which is created if needed.

        Raises:
            StateError: the record is not open.
            OSError: the line could not be written; the file is unchanged.
        """
        with self._lock:
            descriptor = self._descriptors.get(folder)
            if descriptor is None:
                descriptor = self._open_file(folder)
            written = os.write(descriptor, line)
            if written != len(line):
                finish(descriptor, line, written)

    def _open_file(self, folder: str) -> int:
        self.require_present()
        while len(self._descriptors) >= MAX_OPEN:
            oldest = next(iter(self._descriptors))
            self._keep(oldest)
            os.close(self._descriptors.pop(oldest))
        path = self._path(folder)
        try:
            descriptor = descriptor_to_change(path, appends=True)
        except FileNotFoundError:
            make_folder(folder)
            descriptor = descriptor_to_change(path, appends=True)
        descriptor = self._descriptors[folder] = above_standard_streams(descriptor)
        return descriptor

    def _path(self, folder: str) -> str:
        return f"{folder}/{self.name}{SUFFIX}"

    def secure(self) -> str | None:
        """Write each file again that was moved or removed while it was open, and warn of it.

        Rows are only in such a file then, where no reader finds them. If the whole record was moved, they
        are in its new folder, and if it was removed, nothing is restored.

        Returns:
            What is lost, because a file could not be written again, for a message; None if nothing is.
        """
        with self._lock:
            if _is_there(self.presence):
                for folder in self._descriptors:
                    self._keep(folder)
            restored, self._restored = self._restored, []
            lost, self._lost = self._lost, []
        if restored:
            _warn(f"{MOVED}, and their rows were written to their places again: {_listed(restored)}")
        return f"{MOVED}, and their rows are lost: {_listed(lost)}" if lost else None

    def _keep(self, folder: str) -> None:
        """Write a file again if it is not in its place any more; costs two `stat`, and raises nothing."""
        path = self._path(folder)
        try:
            if self.presence is not None and _restore(path, self._descriptors[folder]):
                self._restored.append(path)
        except OSError as error:
            self._lost.append(f"{path} ({error.strerror})")

    def close(self) -> None:
        """Close the files; later appends are refused."""
        with self._lock:
            self.name = None
            while self._descriptors:
                os.close(self._descriptors.popitem()[1])

    def forked(self) -> None:
        """In a forked child, continue in new files, with a lock that no thread of the parent holds."""
        self._lock = RLock()
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
        self._descriptors = {}
        if self.name is not None:
            self.name = _name_of_process(self.name.partition(".")[0])

    def exited(self) -> None:
        """When the interpreter exits, a copy makes sure that its files are in their places.

        Raises:
            StateError: they were moved or removed, and rows are lost.
        """
        if lost := self.secure():
            raise StateError(lost)


class _Shared(NamedTuple):
    """What all copies of an opening in this process use: a worker may get a copy with each of its tasks."""

    name: str
    lock: RLock
    descriptors: dict[str, int]
    presence: Presence | None


_shared: dict[str, _Shared] = {}
os.register_at_fork(after_in_child=_shared.clear)


def _shared_by_copies(opening: str, presence: Presence | None) -> _Shared:
    """The name, lock and files of the copies of an opening in this process."""
    if opening not in _shared:
        _close_earlier()
        _shared[opening] = _Shared(_name_of_process(opening), RLock(), {}, presence)
    return _shared[opening]


def _close_earlier() -> None:
    """Close the files of copies of other openings: a worker may outlive many. One in use opens them again."""
    for earlier in list(_shared.values()):
        with earlier.lock:
            is_there = _is_there(earlier.presence)
            while earlier.descriptors:
                folder, descriptor = earlier.descriptors.popitem()
                path = f"{folder}/{earlier.name}{SUFFIX}"
                try:
                    if is_there and _restore(path, descriptor):
                        _warn(f"{MOVED}, and their rows were written to their places again: {path}")
                except OSError as error:
                    _warn(f"{MOVED}, and their rows are lost: {path} ({error.strerror})")
                os.close(descriptor)


def _name_of_process(opening: str) -> str:
    """A name for a further writer of an opening."""
    return f"{opening}.{os.getpid()}-{os.urandom(4).hex()}"


def _is_there(presence: Presence | None) -> bool:
    """Whether the folder of the record is where it was; False for an opening that a supervisor writes to."""
    try:
        if presence is not None:
            presence.require()
    except StateError:
        return False
    return presence is not None


def _restore(path: str, descriptor: int) -> bool:
    """Write an open file to its path again if it was moved or removed; returns whether it was.

    Raises:
        OSError: it could not be written.
    """
    if _is_at(path, descriptor):
        return False
    make_folder(os.path.dirname(path))
    with whole(path) as copy:
        while block := os.pread(descriptor, BLOCK, copy.tell()):
            copy.write(block)
    return True


def _is_at(path: str, descriptor: int) -> bool:
    """Whether a file that is open is at this path."""
    own = os.fstat(descriptor)
    try:
        there = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    # some file systems do not keep the numbers of a file
    return os.path.samestat(own, there) or own.st_size == there.st_size


def _listed(paths: list[str]) -> str:
    more = len(paths) - MOST_LISTED
    return f"{', '.join(paths[:MOST_LISTED])}{f' and {more} more' if more > 0 else ''}"


def _warn(text: str) -> None:
    import warnings  # noqa: PLC0415 - rarely needed

    with contextlib.suppress(Exception):  # stderr may be closed, or warnings be errors
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def above_standard_streams(descriptor: int) -> int:
    """The descriptor, or a copy of it with another number if it has that of a closed standard stream.

    What a program that closed its stdout still prints would otherwise be written into the record.
    """
    if descriptor > LAST_STANDARD_STREAM:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LAST_STANDARD_STREAM + 1)
    finally:
        os.close(descriptor)


def finish(descriptor: int, line: bytes, written: int) -> None:
    """Write the rest of a partly written line, or remove the written part.

    Raises:
        OSError: the rest could not be written; the file is unchanged.
    """
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise
