"""The digests of files' contents, of which a database remembers those of files that are as they were.

A file counts as unchanged if its path, inode, size and times are those of when it was read. As in git's
index, that proves nothing for a file that was written a moment before it was read: a second write within the
same tick of the clock leaves all of them equal. Such a file is read again the next time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.system.files import descriptor_to_change, make_folder, open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RACY: Final = 2_000_000_000  # nanoseconds: the coarsest clock of a file system in use, that of FAT
TRIES: Final = 3  # how often a file is read that changes while it is read
BUSY: Final = 2.0  # seconds that another process may hold the database
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS contents (
    path BLOB PRIMARY KEY, inode INTEGER, size INTEGER, modified INTEGER, changed INTEGER, digest TEXT
) WITHOUT ROWID
"""


class ContentError(Exception):
    """The content of a file cannot be determined; the message states why."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What shows whether a file is as it was; times in nanoseconds."""

    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The state that a status of a file shows."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, now: int) -> bool:
        """Whether a write after `now` is certain to change the state."""
        return max(self.modified, self.changed) < now - RACY


class ContentDigests:
    """The digests of files, remembered in a database that may be removed at any time.

    Without the database, or if it is damaged, busy or on a full disk, each file is read.

    Args:
        path: of the database; None to remember nothing.
        now: the time in nanoseconds, on the clock of the file system.
        state: what a status of a file shows.
        busy: seconds that another process may hold the database.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        now: Callable[[], int] = time.time_ns,
        state: Callable[[os.stat_result], FileState] = FileState.of,
        busy: float = BUSY,
    ) -> None:
        self._path, self._now, self._state, self._busy = path, now, state, busy
        self._database: sqlite3.Connection | None = None
        self._learned: dict[bytes, tuple[FileState, str]] = {}  # not written yet
        self.read = 0  # bytes that were read

    def of(self, path: Path) -> str:
        """The SHA-256 of a regular file's content, in hexadecimal; links are followed.

        Raises:
            ContentError: it is not there, cannot be read, or changes all the time.
        """
        try:
            return self._digest(path)
        except OSError as error:
            raise ContentError(f"{path} cannot be read: {error.strerror}") from error

    def _digest(self, path: Path) -> str:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ContentError(f"{path} is not a regular file")
        if (known := self._known(path, self._state(status))) is not None:
            return known
        for _ in range(TRIES):
            begun = self._now()
            with open_to_read(path) as file:
                before = self._state(os.fstat(file.fileno()))
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                after = self._state(os.fstat(file.fileno()))
            self.read += after.size
            if before == after:
                self._learn(path, after, digest, begun)
                return digest
        raise ContentError(f"{path} changes while it is read")

    def remember(self, path: Path, digest: str) -> None:
        """Take the digest of a file's present content from a caller who knows it."""
        try:
            self._learn(path, self._state(path.stat()), digest, self._now())
        except OSError:
            return  # it is read when it is there

    def _learn(self, path: Path, state: FileState, digest: str, now: int) -> None:
        if state.is_settled(now):
            self._learned[os.fsencode(path)] = (state, digest)

    def _known(self, path: Path, state: FileState) -> str | None:
        learned = self._learned.get(os.fsencode(path))
        if learned is not None and learned[0] == state:
            return learned[1]
        if self._path is None:
            return None
        try:
            row = self._opened(self._path).execute(
                "SELECT digest FROM contents"
                " WHERE path = ? AND inode = ? AND size = ? AND modified = ? AND changed = ?",
                (os.fsencode(path), *_columns(state)),
            )
            found: tuple[str] | None = row.fetchone()
        except (sqlite3.Error, OSError):
            self._give_up()
            return None
        return None if found is None else found[0]

    def keep(self) -> None:
        """Write what was learned since the last call, in one transaction."""
        learned, self._learned = self._learned, {}
        if self._path is None or not learned:
            return
        rows = [(path, *_columns(state), digest) for path, (state, digest) in learned.items()]
        try:
            with self._opened(self._path) as database:
                database.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?)", rows)
        except (sqlite3.Error, OSError):
            self._give_up()

    def _opened(self, path: Path) -> sqlite3.Connection:
        """The database; a damaged one is replaced."""
        if self._database is None:
            make_folder(path.parent)
            try:
                self._database = _connected(path, self._busy)
            except sqlite3.OperationalError:  # busy, or on a full disk
                raise
            except sqlite3.DatabaseError:
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                self._database = _connected(path, self._busy)
        return self._database

    def _give_up(self) -> None:
        """Read each file from now on."""
        self._path = None
        self.close()

    def close(self) -> None:
        """Write what was learned, and close the database."""
        self.keep()
        if self._database is not None:
            self._database.close()
            self._database = None


def _connected(path: Path, busy: float) -> sqlite3.Connection:
    os.close(descriptor_to_change(path))
    database = sqlite3.connect(path, timeout=busy)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        with database:
            database.execute(_TABLE)
    except BaseException:
        database.close()
        raise
    return database


def _columns(state: FileState) -> tuple[int, int, int, int]:
    """The columns of a state; an inode can have 64 bits, of which a database takes 63 and a sign."""
    inode = state.inode if state.inode < 1 << 63 else state.inode - (1 << 64)
    return inode, state.size, state.modified, state.changed
