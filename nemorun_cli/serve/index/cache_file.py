"""The file of the cache: an SQLite database that is replaced when it is damaged, or cannot be written."""

from __future__ import annotations

import contextlib
import fnmatch
import math
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system.files import descriptor_to_append, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

VERSION: Final = 3  # of the tables; a file with another one is deleted
PATIENCE: Final = 1.0  # seconds that a statement waits for another process
RETRY: Final = 30.0  # seconds until a file that could not be used is tried again; doubled each time
LONGEST_RETRY: Final = 3600.0  # seconds
LARGEST_JOURNAL: Final = 1 << 24  # bytes of the journal that stay after a checkpoint

TABLES: Final = """
CREATE TABLE records (
    root TEXT NOT NULL, prefix TEXT NOT NULL, owner TEXT NOT NULL, status TEXT NOT NULL,
    opened TEXT NOT NULL, ended TEXT NOT NULL, searched TEXT NOT NULL, tags TEXT NOT NULL,
    signature TEXT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (root, prefix)
) WITHOUT ROWID;
CREATE INDEX records_opened ON records (opened, prefix, root);
CREATE TABLE written (
    experiment TEXT NOT NULL, root TEXT NOT NULL, prefix TEXT NOT NULL,
    PRIMARY KEY (experiment, root, prefix)) WITHOUT ROWID;
CREATE INDEX written_prefix ON written (root, prefix);
CREATE TABLE experiments (
    owner TEXT NOT NULL, home TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,
    status TEXT NOT NULL, created TEXT NOT NULL, ended TEXT NOT NULL, searched TEXT NOT NULL,
    tags TEXT NOT NULL, executors TEXT NOT NULL, active REAL NOT NULL,
    signature TEXT NOT NULL, dash_root TEXT NOT NULL, entry TEXT NOT NULL,
    PRIMARY KEY (owner, home, id)
) WITHOUT ROWID;
CREATE INDEX experiments_created ON experiments (created, id, owner, home);
CREATE TABLE row_files (
    path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE chunks (
    path TEXT NOT NULL, field TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
    places BLOB, lows BLOB NOT NULL, highs BLOB NOT NULL, PRIMARY KEY (path, field, number)
);
"""


def storable(text: str) -> str:
    """The text as SQLite takes it: lone surrogates, which are not Unicode, are written as escapes."""
    return text.encode(errors="backslashreplace").decode()


def is_storable(text: str) -> bool:
    """Whether SQLite takes a text as it is."""
    return storable(text) == text


class CacheLostError(Exception):
    """The file could not be used, and an empty one has taken its place: its content is read again."""


class CacheFile:
    """One connection to the cache, for all threads; without a usable file the cache is in memory for a while.

    Attributes:
        is_in_memory: whether the file is not used, such as on a full disk.
        generation: how often another cache has taken the place of this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_in_memory = False
        self.generation = 0
        self._retry = RETRY
        self._retried = -math.inf  # when the file was opened, or tried, last
        self._judge: Callable[[str], bool] | None = None
        self._lock = threading.RLock()
        self._connection = self._opened()

    def read(
        self, query: str, values: Sequence[Any] = (), *, judge: Callable[[str], bool] | None = None
    ) -> list[Any]:
        """The rows of a query.

        Args:
            query: it may call `matches(text, pattern)`, which compares with a glob, and `is_shown(text)`.
            values: of its parameters.
            judge: what `is_shown` returns.

        Raises:
            CacheLostError: the cache is empty now.
        """
        with self._guarded() as connection:
            self._judge = judge
            return connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A connection for changes that are made together.

        Raises:
            CacheLostError: the cache is empty now.
        """
        with self._guarded() as connection, connection:
            yield connection

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self.is_in_memory and time.monotonic() - self._retried > self._retry:
                self._try_again()
            try:
                yield self._connection
            except sqlite3.Error as error:
                if _is_of_query(error):
                    raise
                self._replace(error)
                raise CacheLostError(str(error)) from error

    def _try_again(self) -> None:
        """Use the file again if it can be opened.

        Raises:
            CacheLostError: it can, and has another content.
        """
        former, self._retry = self._connection, min(2 * self._retry, LONGEST_RETRY)
        self._connection = self._opened()
        former.close()
        self.generation += 1
        raise CacheLostError("the file of the cache is used again")

    def _replace(self, error: sqlite3.Error) -> None:
        """Continue with an empty cache: in the file if it was damaged, in memory if it cannot be written."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self.generation += 1
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only
            if time.monotonic() - self._retried > LONGEST_RETRY:
                self._retry = RETRY
            self._retried = time.monotonic()
            self._connection = self._in_memory()
        else:
            self._delete()
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        self._retried, self.is_in_memory = time.monotonic(), False
        for _ in range(2):
            try:
                make_folder(self.path.parent)
                os.close(descriptor_to_append(self.path))  # with its mode, before SQLite creates it
                return self._prepared(sqlite3.connect(self.path, PATIENCE, check_same_thread=False))
            except sqlite3.OperationalError:
                break  # locked, full, read-only: another process may still use it
            except (sqlite3.Error, _OtherVersionError):
                self._delete()
            except OSError:
                break
        return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        self.is_in_memory = True
        return self._prepared(sqlite3.connect(":memory:", check_same_thread=False))

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """The connection with its tables.

        Raises:
            _OtherVersionError: another version wrote the file.
        """
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # a cache: after a power cut it is built again
            connection.execute(f"PRAGMA journal_size_limit = {LARGEST_JOURNAL}")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
            if has_tables and version != VERSION:
                raise _OtherVersionError  # noqa: TRY301 - the connection is closed below
            if not has_tables:
                connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            connection.create_function("matches", 2, fnmatch.fnmatchcase, deterministic=True)
            connection.create_function("is_shown", 1, self._is_shown)
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_shown(self, text: str) -> bool:
        return self._judge is None or self._judge(text)

    def _delete(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(f"{self.path.name}{ending}").unlink()


def _is_of_query(error: sqlite3.Error) -> bool:
    """Whether an error is that of the query, such as one that is too deep, and not of the file."""
    if isinstance(error, sqlite3.OperationalError):
        is_of_file = error.sqlite_errorcode != sqlite3.SQLITE_ERROR or str(error).startswith("no such ")
        return not is_of_file
    return isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError))


class _OtherVersionError(Exception):
    """The file was written by another version."""
