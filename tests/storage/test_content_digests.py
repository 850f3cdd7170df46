"""The digests of files: read once while a file is as it was, and read again whenever that is not certain."""

from __future__ import annotations

import hashlib
import itertools
import os
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.storage.step_cache import content_digests
from nemorun_cli.storage.step_cache.content_digests import ContentDigests, ContentError, FileState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATER = content_digests.RACY * 2


def later() -> int:
    """A time at which every file that exists now is settled."""
    return time.time_ns() + LATER


def digest(path: Path, database: Path, now: Callable[[], int] = later) -> tuple[str, int]:
    """The digest of a file by a new process, so to speak, and the bytes that it read for that."""
    digests = ContentDigests(database, now=now)
    try:
        return digests.of(path), digests.read
    finally:
        digests.close()


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """A file that is as it was is not read again, also by another process and through a link."""
    path, database = tmp_path / "a", tmp_path / "new" / "contents.db"
    path.write_bytes(b"one")
    expected = hashlib.sha256(b"one").hexdigest()
    assert digest(path, database) == (expected, 3)
    assert digest(path, database) == (expected, 0)
    (tmp_path / "link").symlink_to(path)
    assert digest(tmp_path / "link", database) == (expected, 3)
    assert database.stat().st_mode & 0o777 == 0o600


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """A program may set the time of a change back, but not that of the inode."""
    path, database = tmp_path / "a", tmp_path / "contents.db"
    path.write_bytes(b"one")
    digest(path, database)
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(path, database) == (hashlib.sha256(b"two").hexdigest(), 3)


def test_a_file_written_a_moment_ago_is_read_again(tmp_path: Path) -> None:
    """Within a tick of the clock a second write leaves size and times equal: nothing is remembered of it."""
    path, database = tmp_path / "a", tmp_path / "contents.db"
    path.write_bytes(b"one")
    assert digest(path, database, time.time_ns)[1] == 3
    assert digest(path, database, time.time_ns)[1] == 3
    assert digest(path, database)[1] == 3
    assert digest(path, database)[1] == 0


@settings(max_examples=amount(20, long=300), deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=8))
def test_a_digest_is_never_that_of_an_older_content(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever is written when, on a clock with coarse ticks, the digest is that of the present content.

    The clock of the file system is imitated: each step writes a content of the same size at a tick, which may
    be the same as before, and all times that a file shows are those of the tick.
    """
    folder = tmp_path_factory.mktemp("ticks")
    path, ticks = folder / "a", [0]

    def at_tick(status: os.stat_result) -> FileState:
        return FileState(status.st_ino, status.st_size, ticks[-1], ticks[-1])

    for content, pause in steps:
        ticks.append(ticks[-1] + pause * content_digests.RACY)
        path.write_text(content)
        digests = ContentDigests(folder / "contents.db", now=lambda: ticks[-1], state=at_tick)
        assert digests.of(path) == hashlib.sha256(content.encode()).hexdigest()
        digests.close()


def test_a_damaged_database_is_replaced(tmp_path: Path) -> None:
    """It is only a memory: without it each file is read."""
    path, database = tmp_path / "a", tmp_path / "contents.db"
    path.write_bytes(b"one")
    database.write_bytes(b"no database at all" * 100)
    assert digest(path, database)[1] == 3
    assert digest(path, database)[1] == 0


def test_without_a_database_each_file_is_read(tmp_path: Path) -> None:
    """A home that cannot be written, or a database that another process holds, stops nothing."""
    path, blocked = tmp_path / "a", tmp_path / "file" / "contents.db"
    path.write_bytes(b"one")
    (tmp_path / "file").touch()
    assert [digest(path, blocked)[1], digest(path, blocked)[1]] == [3, 3]

    database = tmp_path / "contents.db"
    digest(path, database)
    holder = sqlite3.connect(database)
    holder.execute("BEGIN EXCLUSIVE")
    (tmp_path / "b").write_bytes(b"two")
    digests = ContentDigests(database, now=later, busy=0)
    assert (digests.of(tmp_path / "b"), digests.read) == (hashlib.sha256(b"two").hexdigest(), 3)
    digests.close()
    holder.close()
    assert digest(tmp_path / "b", database)[1] == 3
    assert digest(path, database)[1] == 0


def test_what_has_no_content_is_an_error(tmp_path: Path) -> None:
    """A missing file, a folder and a FIFO have no digest; nothing waits for a writer."""
    os.mkfifo(tmp_path / "fifo")
    digests = ContentDigests(None)
    for name, message in (("gone", "cannot be read"), ("fifo", "not a regular file"), (".", "not a regular")):
        with pytest.raises(ContentError, match=message):
            digests.of(tmp_path / name)


def test_a_file_that_changes_all_the_time_has_no_digest(tmp_path: Path) -> None:
    """The digest of a mixture of two contents is never returned."""
    (tmp_path / "a").write_bytes(b"x")
    sizes = itertools.count()
    digests = ContentDigests(None, state=lambda status: FileState(status.st_ino, next(sizes), 0, 0))
    with pytest.raises(ContentError, match="changes while it is read"):
        digests.of(tmp_path / "a")


def test_a_known_digest_saves_the_reading(tmp_path: Path) -> None:
    """A caller who placed a file may know its digest; it is taken once the file is settled."""
    path, database = tmp_path / "a", tmp_path / "contents.db"
    path.write_bytes(b"one")
    known = hashlib.sha256(b"one").hexdigest()
    digests = ContentDigests(database)
    digests.remember(path, known)
    digests.close()
    assert digest(path, database, time.time_ns)[1] == 3
    digests = ContentDigests(database, now=later)
    digests.remember(path, known)
    digests.remember(tmp_path / "gone", known)
    digests.close()
    assert digest(path, database) == (known, 0)
