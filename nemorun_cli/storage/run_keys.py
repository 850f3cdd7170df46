"""Which experiments were started under one key (or name), and the lock held while another one starts."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from nemorun_cli.errors import LockHeldError
from nemorun_cli.storage.paths import age_key
from nemorun_cli.system.files import FILE_MODE, make_folder
from nemorun_cli.system.locks import holder_by_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

KEY: Final = "key-"  # what the names of the files begin with
NAME: Final = "name-"
LOCK_WAIT: Final = 120.0  # seconds: as long as a `replace` may take to cancel what runs
LOCK_PAUSE: Final = 0.05  # seconds between the tries
LONGEST_NAME: Final = 180  # characters of a key that go into a file's name; the rest is hashed


@dataclass(frozen=True, slots=True)
class Holding:
    """A key that is held."""

    home: Home
    name: str | None
    descriptor: int

    def ids(self) -> list[str]:
        """The experiments that were started under it and are still there, oldest first."""
        if self.name is not None:
            return sorted(self.home.ids(self.name), key=age_key)
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, size, 0).decode().split()

    def add(self, experiment_id: str) -> None:
        """Remember one more."""
        if self.name is None:
            size = os.fstat(self.descriptor).st_size
            os.pwrite(self.descriptor, experiment_id.encode() + b"\n", size)
            os.fsync(self.descriptor)


@contextmanager
def hold(home: Home, *, key: str | None, name: str) -> Iterator[Holding]:
    """Hold a key, or without one a name, until the block is left.

    Raises:
        LockHeldError: somebody else holds it for too long.
    """
    make_folder(home.keys)
    path = home.keys / (f"{KEY}{_encode(key)}" if key is not None else f"{NAME}{_encode(name)}")
    descriptor = _take(path)
    try:
        yield Holding(home, None if key is not None else name, descriptor)
    finally:
        os.close(descriptor)


def leftovers(home: Home) -> Iterator[Path]:
    """The files of keys and names under which there is no experiment any more."""
    try:
        paths = sorted(home.keys.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        if path.name.startswith(KEY) and path.is_file():
            ids = path.read_text(encoding="utf-8", errors="replace").split()
        elif path.name.startswith(NAME) and path.is_file():
            ids = list(home.ids(unquote(path.name.removeprefix(NAME))))
        else:
            continue
        if not any(home.experiment(one) for one in ids):
            yield path


def discard(path: Path) -> bool:
    """Remove the file of a key, unless somebody holds it; says whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _take(path: Path) -> int:
    """The key's file, locked; one that was removed while it was waited for is made anew."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            _wait(descriptor, path)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _wait(descriptor: int, path: Path) -> None:
    end = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                pid = holder_by_kernel(path)
                who = f"pid {pid}" if pid else "somebody"
                raise LockHeldError(f"{path} has been held for {LOCK_WAIT:g} s by {who}") from None
            time.sleep(LOCK_PAUSE)
        else:
            return


def _encode(text: str) -> str:
    """A file name for any text, readable where it is short."""
    quoted = quote(text, safe="=+@,")
    if len(quoted) <= LONGEST_NAME:
        return quoted
    import hashlib  # noqa: PLC0415 - seldom needed, and slow to load

    return f"{quoted[:LONGEST_NAME]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
