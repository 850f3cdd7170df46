"""The file of the cache: an SQLite database that is replaced whenever it cannot be used."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system.files import descriptor_to_append, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

VERSION: Final = 1  # of the tables; a file with another one is deleted
PATIENCE: Final = 1.0  # seconds that a statement waits for another process
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
    tags TEXT NOT NULL, signature TEXT NOT NULL, dash_root TEXT NOT NULL, entry TEXT NOT NULL,
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
    """One connection to the cache, for all threads; without a usable file the cache is in memory.

    Attributes:
        is_in_memory: whether there is no file, such as on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_in_memory = False
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
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._replace(error)
                raise CacheLostError(str(error)) from error

    def _replace(self, error: sqlite3.Error) -> None:
        """Continue with an empty cache: in the file if it was damaged, in memory if it cannot be written."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only
            self._connection = self._in_memory()
        else:
            self._delete()
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
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


class _OtherVersionError(Exception):
    """The file was written by another version."""
