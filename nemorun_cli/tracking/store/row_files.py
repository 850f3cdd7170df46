"""Row files: one JSON object a line, appended by one writer only, read by anybody at any time.

A writer is one process of one opening; its name starts with the id of the opening, and with it
with the generation (see `openings`). As no two writers share a file, a torn line can only be the
last one of a file: it is passed over and told. Any other damage is an error that names the line.
"""

from __future__ import annotations

import gc
import json
import os
from contextlib import contextmanager
from operator import itemgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from nemorun_cli.errors import LedgerDamagedError, StateError
from nemorun_cli.tracking.store import json_values
from nemorun_cli.tracking.store.record_paths import FILE_MODE, make_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Row = dict[str, Any]

MAX_OPEN: Final = 128  # descriptors a writer keeps; a process may commonly hold 1,024
BLOCK: Final = 1 << 16  # bytes read at a time from the end of a file
SUFFIX: Final = ".jsonl"


class Writer:
    """The row files of one process in one opening.

    An append is one `write` to a descriptor that appends: the line is in the file when the call returns,
    whole or not at all. The lock is reentrant because a signal handler may append in the midst of an append.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._lock = RLock()
        self._descriptors: dict[str, int] = {}

    def open(self, name: str) -> None:
        """Take up writing under a name that no other process has."""
        self.name = name

    def require_open(self) -> None:
        """Raise unless what is appended would be written.

        Raises:
            StateError: the record is not open.
        """
        if self.name is None:
            raise StateError(
                "the record is not open", hint="use `with experiment.run:` or experiment.run.start()"
            )

    def append(self, folder: str, line: bytes) -> None:
        """Append a line to this writer's file in a folder, which is made when it is missing.

        Raises:
            StateError: the record is not open.
            OSError: the line could not be written; nothing of it stays.
        """
        with self._lock:
            descriptor = self._descriptors.get(folder)
            if descriptor is None:
                descriptor = self._take(folder)
            written = os.write(descriptor, line)
            if written != len(line):
                finish(descriptor, line, written)

    def _take(self, folder: str) -> int:
        self.require_open()
        while len(self._descriptors) >= MAX_OPEN:
            os.close(self._descriptors.pop(next(iter(self._descriptors))))
        path = f"{folder}/{self.name}{SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, FILE_MODE)
        except FileNotFoundError:
            make_folder(folder)
            descriptor = os.open(path, flags, FILE_MODE)
        self._descriptors[folder] = descriptor
        return descriptor

    def close(self) -> None:
        """Let go of the files; what is appended afterwards is refused."""
        with self._lock:
            self.name = None
            while self._descriptors:
                os.close(self._descriptors.popitem()[1])

    def forked(self) -> None:
        """In a child process: go on in files of one's own, with a lock that no thread of the parent holds."""
        self._lock = RLock()
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
        if self.name is not None:
            self.name = f"{self.name.partition('.')[0]}.{os.getpid()}-{os.urandom(4).hex()}"


def finish(descriptor: int, line: bytes, written: int) -> None:
    """Write the rest of a line the system took only a part of, or take that part back.

    Raises:
        OSError: it could not be written, and nothing of it stays.
    """
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise


class IncompleteRow(NamedTuple):
    """A file whose last line is not whole: its writer died in the midst of it, or is at it now."""

    path: str
    bytes: int


class RowSource(NamedTuple):
    """One writer's file in a folder."""

    path: str
    generation: int
    opening: str


def sources(folder: str, openings: Collection[str] | None = None) -> list[RowSource]:
    """The files of a folder by generation and opening; of all openings, or of those given."""
    found = []
    for name in names(folder):
        if name.endswith(SUFFIX):
            opening = name.removesuffix(SUFFIX).partition(".")[0]
            if openings is None or opening in openings:
                found.append(RowSource(f"{folder}/{name}", generation_of(opening), opening))
    return sorted(found, key=lambda source: (source.generation, source.path))


def names(folder: str) -> list[str]:
    """What lies in a folder, in no order; nothing where there is none."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def generation_of(opening: str) -> int:
    """The generation that an opening's id starts with; 0 where something else lies."""
    head = opening.partition("-")[0]
    return int(head) if head.isdecimal() else 0


def read(path: str) -> tuple[list[Row], IncompleteRow | None]:
    """All whole rows of a file, and its torn last line if there is one.

    Raises:
        LedgerDamagedError: a line that is not the last one is no row.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    end = data.rfind(b"\n") + 1
    torn = IncompleteRow(path, len(data) - end) if end < len(data) else None
    return parse(data[:end], path), torn


def parse(data: bytes, path: str) -> list[Row]:
    """The rows of whole lines.

    Raises:
        LedgerDamagedError: a line is no row; it is named.
    """
    if not data:
        return []
    try:
        # as one array: half the time of a call for each line
        text = data[:-1].decode("ascii").replace("\n", ",")
        with _collector_paused():
            rows = json.loads(f"[{text}]")
    except ValueError:
        return _parse_lines(data, path)
    if len(rows) != data.count(b"\n") or not set(map(type, rows)) <= {dict}:
        return _parse_lines(data, path)
    return cast("list[Row]", json_values.unwrap(rows)) if json_values.needs_unwrapping(text) else rows


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Rows hold no cycles: looking for them costs a third of the time of reading many."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse_lines(data: bytes, path: str) -> list[Row]:
    """One line at a time, to say which one is damaged."""
    rows = []
    for number, line in enumerate(data[:-1].split(b"\n"), 1):
        try:
            row = json_values.load(line.decode("ascii"))
        except ValueError as error:
            raise LedgerDamagedError(f"{path}:{number}: this is no row: {error}") from error
        if not isinstance(row, dict):
            raise LedgerDamagedError(f"{path}:{number}: this is no row: it is no JSON object")
        rows.append(row)
    return rows


def read_tail(path: str, count: int) -> tuple[list[Row], IncompleteRow | None]:
    """The last rows of a file; only its end is read."""
    with open(path, "rb") as stream:
        position = size = stream.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") <= count:
            step = min(position, max(BLOCK, len(data)))
            position -= step
            stream.seek(position)
            data = stream.read(step) + data
    data = data[: size - position]
    end = data.rfind(b"\n") + 1
    torn = IncompleteRow(path, len(data) - end) if end < len(data) else None
    lines = data[:end].split(b"\n")[:-1]
    if position > 0:
        lines = lines[1:]  # the first one may be the end of a longer one
    try:
        return parse(b"".join(line + b"\n" for line in lines[-count:]), path), torn
    except LedgerDamagedError:
        rows, torn = read(path)  # which names the line, counted from the start
        return rows[-count:], torn


def series(
    folder: str, *, openings: Collection[str] | None = None, tail: int | None = None
) -> tuple[list[Row], list[IncompleteRow]]:
    """The rows of a folder as one series, or its last ones, and the torn lines that were passed over.

    Generations follow one another, whatever the clocks of their machines said. Within one, writers are merged
    by time, and each one's own order stands even where its clock went back.

    Raises:
        LedgerDamagedError: a line that is not the last one of its file is no row.
    """
    generations: dict[int, list[RowSource]] = {}
    for source in sources(folder, openings):
        generations.setdefault(source.generation, []).append(source)
    parts: list[list[Row]] = []
    torn: list[IncompleteRow] = []
    missing = tail
    for generation in sorted(generations, reverse=True):
        if missing is not None and missing <= 0:
            break
        together = []
        for source in generations[generation]:
            rows, incomplete = read(source.path) if missing is None else read_tail(source.path, missing)
            together.append(rows)
            torn += [incomplete] if incomplete else []
        merged = merge(together)
        if missing is not None:
            merged = merged[-missing:]
            missing -= len(merged)
        parts.append(merged)
    return [row for part in reversed(parts) for row in part] if len(parts) != 1 else parts[0], torn


def merge(together: list[list[Row]]) -> list[Row]:
    """The rows of writers that wrote at the same time, by time; each one's own order stands."""
    together = [rows for rows in together if rows]
    if len(together) <= 1:
        return together[0] if together else []
    timed = [pair for rows in together for pair in _timed(rows)]
    timed.sort(key=itemgetter(0))
    return [row for _, row in timed]


def _timed(rows: list[Row]) -> Iterator[tuple[float, Row]]:
    """Each row with the latest time of it and those before it: sorting by that keeps their order."""
    latest = float("-inf")
    for row in rows:
        moment = row.get("_ts")
        if isinstance(moment, (int, float)) and moment > latest:
            latest = moment
        yield latest, row
