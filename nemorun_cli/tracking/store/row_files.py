"""Row files: one JSON object per line, appended by a single writer, readable at any time.

A writer is one process of one opening; its name starts with the id of the opening, and so with the
generation (see `sessions`). As no two writers share a file, only the last line of a file can be incomplete,
unless the machine lost its power or a foreign program wrote to the file. A line that is not a row spoils only
itself: it is skipped and reported.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import io
import json
import os
from contextlib import contextmanager
from operator import itemgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from nemorun_cli.errors import LedgerDamagedError, StateError, UnreadableWarning
from nemorun_cli.system.file_end import last_lines
from nemorun_cli.system.files import (
    IS_LINK,
    RefusedFileError,
    at_most,
    descriptor_to_append,
    is_behind_link,
    make_folder,
    open_to_read,
)
from nemorun_cli.tracking.store import json_values
from nemorun_cli.tracking.store.record_paths import parent_of_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from nemorun_cli.tracking.store.presence import Presence
    from nemorun_cli.tracking.store.row_forms import Kind

Row = dict[str, Any]

MAX_OPEN: Final = 128  # descriptors a writer keeps open; the usual limit of a process is 1,024
LARGEST: Final = 1 << 29  # bytes that are read at once: some ten million rows of one writer
LAST_STANDARD_STREAM: Final = 2  # the descriptor of stderr
BLOCK: Final = 1 << 16  # bytes read at a time from the end of a file
MOST_REPORTED: Final = 100  # damaged lines of one file that are reported
LARGEST_TIME: Final = 1e300  # of a row, in seconds: it can be converted to a float
SUFFIX: Final = ".jsonl"


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
        self.name, self._lock, self._descriptors = _shared_by_copies(state["name"].partition(".")[0])
        self._notice_end()
        copies.watch(self)

    def open(self, name: str, presence: Presence | None = None) -> None:
        """Start writing under a name that no other process uses, as long as the opening is present."""
        if self._is_copy:  # of an earlier opening, whose files and lock other copies still use
            self._lock, self._descriptors = RLock(), {}
        self._is_copy = self._has_ended = False
        self.name, self.presence = name, presence

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
            os.close(self._descriptors.pop(next(iter(self._descriptors))))
        path = f"{folder}/{self.name}{SUFFIX}"
        try:
            descriptor = descriptor_to_append(path)
        except FileNotFoundError:
            make_folder(folder)
            descriptor = descriptor_to_append(path)
        descriptor = self._descriptors[folder] = above_standard_streams(descriptor)
        return descriptor

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
        """When the interpreter exits, a copy has nothing to do: each row is in its file."""


class _Shared(NamedTuple):
    """What all copies of an opening in this process use: a worker may get a copy with each of its tasks."""

    name: str
    lock: RLock
    descriptors: dict[str, int]


_shared: dict[str, _Shared] = {}
os.register_at_fork(after_in_child=_shared.clear)


def _shared_by_copies(opening: str) -> _Shared:
    """The name, lock and files of the copies of an opening in this process."""
    if opening not in _shared:
        _close_earlier()
        _shared[opening] = _Shared(_name_of_process(opening), RLock(), {})
    return _shared[opening]


def _close_earlier() -> None:
    """Close the files of copies of other openings: a worker may outlive many. One in use opens them again."""
    for earlier in list(_shared.values()):
        with earlier.lock:
            while earlier.descriptors:
                os.close(earlier.descriptors.popitem()[1])


def _name_of_process(opening: str) -> str:
    """A name for a further writer of an opening."""
    return f"{opening}.{os.getpid()}-{os.urandom(4).hex()}"


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


class IncompleteRow(NamedTuple):
    """A file with an incomplete last line: its writer died while writing it, or is still writing."""

    path: str
    bytes: int


class DamagedRow(NamedTuple):
    """A line that is not a row; `line` counts from 1."""

    path: str
    line: int
    problem: str

    @property
    def message(self) -> str:
        """What is wrong, with the path and the line."""
        return f"{self.path}:{self.line}: not a row: {self.problem}"


Flaw = IncompleteRow | DamagedRow


def damaged(flaws: Iterable[Flaw]) -> tuple[DamagedRow, ...]:
    """The damaged lines among the flaws of files."""
    return tuple(flaw for flaw in flaws if isinstance(flaw, DamagedRow))


def warn_of(flaws: Iterable[Flaw]) -> None:
    """Warn of damaged lines, for readers whose result has no place for them."""
    for flaw in damaged(flaws):
        import warnings  # noqa: PLC0415 - rarely needed

        warnings.warn(f"ignored {flaw.message}", UnreadableWarning, stacklevel=3)


class RowSource(NamedTuple):
    """One writer's file in a folder."""

    path: str
    generation: int
    opening: str


def sources(folder: str, openings: Collection[str] | None = None) -> list[RowSource]:
    """The files of a folder sorted by generation and opening, of all openings or of the given ones."""
    files = []
    for name in names(folder):
        if name.endswith(SUFFIX):
            opening = name.removesuffix(SUFFIX).partition(".")[0]
            if openings is None or opening in openings:
                files.append(RowSource(f"{folder}/{name}", generation_of(opening), opening))
    return sorted(files, key=lambda source: (source.generation, source.path))


def names(folder: str) -> list[str]:
    """The names in a folder, unsorted; empty if the folder does not exist.

    Raises:
        LedgerDamagedError: it, or a folder above it in its record, is a symbolic link.
    """
    if (parent := parent_of_record(f"{folder}/")) is not None and is_behind_link(folder, inside=parent):
        raise LedgerDamagedError(f"{folder} cannot be read: {IS_LINK}")
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LedgerDamagedError(f"{folder} cannot be read: {error.strerror}") from error
        raise


def generation_of(opening: str) -> int:
    """The generation at the start of an opening's id; 0 for other names."""
    first = opening.partition("-")[0]
    return int(first) if first.isdecimal() else 0


def open_rows(path: str) -> BinaryIO:
    """Open a file of a record, which anybody may have put there; never waits.

    Raises:
        FileNotFoundError: it does not exist.
        LedgerDamagedError: it cannot be read, or is not a regular file.
    """
    try:
        return open_to_read(path, follows_link=False, inside=parent_of_record(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error.strerror}") from error


def read_whole(stream: BinaryIO, path: str) -> bytes:
    """The rest of a file of a record.

    Raises:
        LedgerDamagedError: it is larger than LARGEST.
    """
    try:
        return at_most(LARGEST, stream, path)
    except RefusedFileError as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error.strerror}") from error


def read(path: str, kind: Kind | None = None) -> tuple[list[Row], list[Flaw]]:
    """All rows of a file, and its lines that are none: the incomplete last one, and damaged ones.

    Args:
        path: of the file.
        kind: of the rows; it decides the forms of their fields, which are checked, except those of openings.

    Raises:
        LedgerDamagedError: the file cannot be read.
    """
    with open_rows(path) as stream:
        data = read_whole(stream, path)
    end = data.rfind(b"\n") + 1
    rows, flaws = parse(data[:end], path, kind)
    return rows, [*flaws, *_incomplete(data, end, path)]


def _incomplete(data: bytes, end: int, path: str) -> list[Flaw]:
    return [IncompleteRow(path, len(data) - end)] if end < len(data) else []


def parse(
    data: bytes, path: str, kind: Kind | None = None, *, first: int = 1
) -> tuple[list[Row], list[DamagedRow]]:
    """The rows among complete lines, and the other lines; `first` is the number of the first line."""
    if not data:
        return [], []
    try:
        # parsed as one array: half the time of one call per line
        text = data[:-1].decode("ascii").replace("\n", ",")
        with _collector_paused():
            rows: list[Row] = json.loads(f"[{text}]")
            are_rows = len(rows) == data.count(b"\n") and _are_objects(rows, are_timed=kind != "opening")
            if are_rows and json_values.needs_unwrapping(text):
                rows = cast("list[Row]", json_values.unwrap(rows))
            if are_rows and kind not in {None, "opening"}:
                are_rows = all(_form_problem(row, kind) is None for row in rows)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        are_rows = False
    return (rows, []) if are_rows else _parse_lines(data, path, kind, first)


def _are_objects(rows: list[Row], *, are_timed: bool) -> bool:
    """Whether all are objects with a time as this package writes it; raises an error for some others."""
    if not are_timed:
        return set(map(type, rows)) <= {dict}
    return set(map(type, map(_TIME_OF, rows))) == {float}


_TIME_OF: Final = itemgetter("_ts")


def _form_problem(row: Row, kind: Kind) -> str | None:
    from nemorun_cli.tracking.store import row_forms  # noqa: PLC0415 - programs rarely read

    return row_forms.flaw(row, kind)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: rows contain no cycles, and it takes a third of the reading time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse_lines(data: bytes, path: str, kind: Kind | None, first: int) -> tuple[list[Row], list[DamagedRow]]:
    """Parse one line at a time, to keep the rows and to report the other lines."""
    rows: list[Row] = []
    flaws: list[DamagedRow] = []
    for number, line in enumerate(io.BytesIO(data), first):
        try:
            row = json_values.load(line[:-1].decode("utf-8"))
            problem = _problem(row, kind)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            problem = str(error)
        if problem is None:
            rows.append(row)
        elif len(flaws) < MOST_REPORTED:
            flaws.append(DamagedRow(path, number, problem))
    return rows, flaws


def _problem(row: Any, kind: Kind | None) -> str | None:
    """Why a JSON value is not a row of this kind, or None."""
    if not isinstance(row, dict):
        return "not a JSON object"
    if kind == "opening":
        return None
    timestamp = row.get("_ts")
    if not isinstance(timestamp, (int, float)) or isinstance(timestamp, bool):
        return "it has no time in _ts"
    if not -LARGEST_TIME <= timestamp <= LARGEST_TIME:
        return "its time in _ts is not a number of seconds"
    return None if kind is None else _form_problem(row, kind)


def read_tail(path: str, count: int, kind: Kind | None = None) -> tuple[list[Row], list[Flaw]]:
    """The last rows of a file; only its end is read, unless that has damaged lines."""
    with open_rows(path) as stream:
        stream.seek(last_lines(stream, count + 1, chunk=BLOCK))  # the last one may be incomplete
        data = read_whole(stream, path)
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1]
    rows, flaws = parse(b"".join(line + b"\n" for line in lines[max(0, len(lines) - count) :]), path, kind)
    if flaws:
        rows, all_flaws = read(path, kind)  # its lines are numbered from the start
        return rows[max(0, len(rows) - count) :], all_flaws
    return rows, _incomplete(data, end, path)


def series(
    folder: str,
    *,
    openings: Collection[str] | None = None,
    tail: int | None = None,
    kind: Kind | None = None,
) -> tuple[list[Row], list[Flaw]]:
    """The rows of a folder as one series, or the last ones, and the lines that were skipped.

    Generations are in order, regardless of the clocks of their machines. Within a generation, writers are
    merged by time, and the rows of each writer keep their order even if its clock was set back.

    Args:
        folder: of the rows, one file for each writer.
        openings: only rows of these.
        tail: only so many of the last rows.
        kind: of the rows; it decides the forms of their fields, which are checked.

    Raises:
        LedgerDamagedError: a file cannot be read.
    """
    generations: dict[int, list[RowSource]] = {}
    for source in sources(folder, openings):
        generations.setdefault(source.generation, []).append(source)
    parts: list[list[Row]] = []
    skipped: list[Flaw] = []
    remaining = tail
    for generation in sorted(generations, reverse=True):
        if remaining is not None and remaining <= 0:
            break
        by_writer = []
        for source in generations[generation]:
            rows, flaws = (
                read(source.path, kind) if remaining is None else read_tail(source.path, remaining, kind)
            )
            by_writer.append(rows)
            skipped += flaws
        merged = merge(by_writer)
        if remaining is not None:
            merged = merged[-remaining:]
            remaining -= len(merged)
        parts.append(merged)
    return [row for part in reversed(parts) for row in part] if len(parts) != 1 else parts[0], skipped


def merge(by_writer: list[list[Row]]) -> list[Row]:
    """Merge the rows of concurrent writers by time; the rows of each writer keep their order."""
    by_writer = [rows for rows in by_writer if rows]
    if len(by_writer) <= 1:
        return by_writer[0] if by_writer else []
    timed = [pair for rows in by_writer for pair in _timed(rows)]
    timed.sort(key=itemgetter(0))
    return [row for _, row in timed]


def _timed(rows: list[Row]) -> Iterator[tuple[float, Row]]:
    """Each row with the latest time up to it: sorting by that time keeps the order of the rows."""
    latest = float("-inf")
    for row in rows:
        timestamp = row.get("_ts")
        if isinstance(timestamp, (int, float)) and timestamp > latest:
            latest = timestamp
        yield latest, row
