"""The columns of files of metric rows, kept in memory and in the cache, and extended from appended bytes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakValueDictionary

from nemorun_cli.serve.index.cache_file import CacheLostError, is_storable
from nemorun_cli.serve.index.columns import BLOCK, TAIL, FileColumns, NumberColumn
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.row_files import DamagedRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator
    from typing import BinaryIO

    from nemorun_cli.serve.index.cache_file import CacheFile

READ: Final = 1 << 22  # bytes that are parsed at a time
LARGEST: Final = 1 << 27  # bytes of columns in memory
SMALLEST: Final = 1 << 16  # bytes of a file that is kept in the cache: smaller ones are read as fast
MOST_STORED: Final = 10_000  # files of which it is remembered how much the cache has
CHUNK: Final = BLOCK * 256  # numbers of a field in one row of the cache


class _Stored(NamedTuple):
    """What the cache has of a file: its bytes, and the count of each field."""

    generation: int  # of the cache
    bytes: int
    counts: dict[str, int]

    @classmethod
    def of(cls, columns: FileColumns, generation: int) -> _Stored:
        counts = {name: len(each.values) for name, each in columns.columns.items()}
        return cls(generation, columns.offset, counts)


_NOTHING: Final = _Stored(0, 0, {})


class RowCache:
    """The columns of each file that was asked for; of all that was read, the latest are in memory."""

    def __init__(self, cache: CacheFile) -> None:
        self._cache = cache
        self._columns: dict[str, FileColumns] = {}  # the one that was asked for last is last
        self._sizes: dict[str, int] = {}
        self._locks: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()  # those in use
        self._stored: dict[str, _Stored] = {}
        self._lock = threading.Lock()
        self._size = 0
        self.parsed = 0  # bytes

    @contextlib.contextmanager
    def reading(self, paths: Collection[str]) -> Iterator[dict[str, FileColumns]]:
        """The columns of files as they are now, which no other thread extends meanwhile.

        Raises:
            LedgerDamagedError: a file cannot be read.
        """
        with contextlib.ExitStack() as stack:
            for path in sorted(paths):  # in one order in all threads
                stack.enter_context(self._lock_of(path))
            yield {path: self._columns_of(path) for path in paths}

    def read_ahead(self, path: str, *, least: int) -> None:
        """Read what a file has grown by, if that is at least so many bytes.

        Raises:
            LedgerDamagedError: it cannot be read.
        """
        with self._lock:
            known = self._columns.get(path)
            offset = self._stored.get(path, _NOTHING).bytes if known is None else known.offset
        if os.stat(path).st_size - offset >= least:  # noqa: PTH116 - as text
            with self.reading([path]):
                pass

    def _lock_of(self, path: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(path, threading.RLock())

    def _columns_of(self, path: str) -> FileColumns:
        with self._lock:
            known = self._columns.get(path)
        columns = self._extended(self._load(path) if known is None else known)
        with self._lock:
            if (former := self._sizes.pop(path, None)) is not None:
                self._size -= former
                del self._columns[path]
            self._columns[path] = columns
            self._sizes[path] = columns.size
            self._size += columns.size
            while self._size > LARGEST and len(self._columns) > 1:
                oldest = next(iter(self._columns))
                del self._columns[oldest]
                self._size -= self._sizes.pop(oldest)
        return columns

    def _extended(self, columns: FileColumns) -> FileColumns:
        try:
            stream = row_files.open_rows(columns.path)
        except FileNotFoundError:
            return FileColumns(columns.path)
        with stream:
            status = os.fstat(stream.fileno())
            if status.st_ino == columns.inode and status.st_size == columns.offset + columns.torn:
                return columns
            if status.st_ino != columns.inode or not _continues(columns, stream):
                columns = FileColumns(columns.path, inode=status.st_ino)
                with self._lock:
                    self._stored.pop(columns.path, None)
            rest = b""
            for data in _blocks(stream, columns.offset):
                lines, newline, rest = (rest + data).rpartition(b"\n")
                if newline:
                    columns.extend(lines + newline)
                    self.parsed += len(lines) + 1
            columns.torn = len(rest)
        self._store(columns)
        return columns

    def _load(self, path: str) -> FileColumns:
        if not is_storable(path):
            return FileColumns(path)
        generation = self._cache.generation
        try:
            found = self._cache.read("SELECT bytes, state FROM row_files WHERE path = ?", (path,))
            if not found:
                return FileColumns(path)
            chunks = self._cache.read(
                "SELECT field, data, places, lows, highs FROM chunks WHERE path = ? ORDER BY field, number",
                (path,),
            )
        except CacheLostError:
            return FileColumns(path)
        try:
            columns = _from_state(path, found[0][0], json.loads(found[0][1]), chunks)
        except (ValueError, LookupError, TypeError):
            return FileColumns(path)
        self._note(columns, generation)
        return columns

    def _store(self, columns: FileColumns) -> None:
        """Keep a file in the cache, if it has grown by an eighth since it was kept."""
        generation = self._cache.generation
        known = self._stored.get(columns.path, _NOTHING)
        if known.generation != generation or known.bytes > columns.offset:
            known = _NOTHING
        stored, counts = known.bytes, known.counts
        if not all(map(is_storable, (columns.path, *columns.columns))):
            return
        if columns.offset < SMALLEST or columns.offset - stored < columns.offset >> 3:
            return
        try:
            with self._cache.changing() as connection:
                if self._cache.generation != generation:
                    return
                if not stored:
                    connection.execute("DELETE FROM chunks WHERE path = ?", (columns.path,))
                for name, column in columns.columns.items():
                    for row in _chunks(name, column, counts.get(name, 0)):
                        connection.execute(_INSERT, (columns.path, *row))
                _write_state(connection, columns)
        except CacheLostError:
            return
        self._note(columns, generation)

    def _note(self, columns: FileColumns, generation: int) -> None:
        """Remember what the cache has of a file; of very many files, those that were noted last."""
        with self._lock:
            self._stored.pop(columns.path, None)
            self._stored[columns.path] = _Stored.of(columns, generation)
            if len(self._stored) > MOST_STORED:
                del self._stored[next(iter(self._stored))]


_INSERT: Final = "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)"


def _continues(columns: FileColumns, stream: BinaryIO) -> bool:
    """Whether a file still has the last bytes that were read, at the same place."""
    stream.seek(columns.offset - len(columns.tail))
    return stream.read(len(columns.tail)) == columns.tail


def _blocks(stream: BinaryIO, offset: int) -> Iterator[bytes]:
    stream.seek(offset)
    while data := stream.read(READ):
        yield data


def _chunks(name: str, column: NumberColumn, stored: int) -> Iterator[tuple[Any, ...]]:
    """The rows of the cache for the numbers after the stored ones, from the last incomplete chunk on."""
    for number in range(stored // CHUNK, -(-len(column.values) // CHUNK)):
        first, end = number * CHUNK, (number + 1) * CHUNK
        places = None if column.rows is None else column.rows[first:end].tobytes()
        yield (
            name,
            number,
            column.values[first:end].tobytes(),
            places,
            column.lows[first // BLOCK : end // BLOCK].tobytes(),
            column.highs[first // BLOCK : end // BLOCK].tobytes(),
        )


def _write_state(connection: sqlite3.Connection, columns: FileColumns) -> None:
    state = {
        "inode": columns.inode,
        "rows": columns.rows,
        "lines": columns.lines,
        "tail": columns.tail.hex(),
        "is_odd": columns.is_odd,
        "fields": list(columns.fields),
        "others": columns.others,
        "damaged": columns.damaged,
        "columns": {
            name: [
                len(each.values),
                each.rows is not None,
                each.nan,
                each.is_whole,
                each.is_sorted,
                each.sums,
            ]
            for name, each in columns.columns.items()
        },
    }
    connection.execute(
        "INSERT OR REPLACE INTO row_files VALUES (?, ?, ?)",
        (columns.path, columns.offset, json.dumps(state)),
    )


def _from_state(path: str, size: int, state: dict[str, Any], chunks: list[Any]) -> FileColumns:
    """The columns as they were kept.

    Raises:
        ValueError: a part is missing.
    """
    columns: dict[str, NumberColumn] = {
        name: NumberColumn(
            rows=array("q") if is_sparse else None, nan=nan, is_whole=whole, is_sorted=is_sorted, sums=sums
        )
        for name, (_, is_sparse, nan, whole, is_sorted, sums) in state["columns"].items()
    }
    for name, data, places, lows, highs in chunks:
        column = columns[name]
        column.values.frombytes(data)
        column.lows.frombytes(lows)
        column.highs.frombytes(highs)
        if column.rows is not None:
            column.rows.frombytes(places)
    for name, (count, *_) in state["columns"].items():
        if len(columns[name].values) != count or len(columns[name].rows or "") not in {0, count}:
            raise ValueError(f"{path}: {name} is incomplete")
    return FileColumns(
        path,
        inode=state["inode"],
        offset=size,
        rows=state["rows"],
        fields=dict.fromkeys(state["fields"]),
        columns=columns,
        others={name: (row, text) for name, (row, text) in state["others"].items()},
        is_odd=state["is_odd"],
        lines=state["lines"],
        tail=bytes.fromhex(state["tail"])[-TAIL:],
        damaged=[DamagedRow(*each) for each in state["damaged"]],
    )
