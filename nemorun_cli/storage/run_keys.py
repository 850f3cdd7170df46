"""The experiments started under a key (or name), and the lock held while another one starts."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from nemorun_cli.errors import LedgerError, LockHeldError
from nemorun_cli.storage.paths import age_key
from nemorun_cli.system.files import descriptor_to_change, is_regular, make_folder, read_bytes
from nemorun_cli.system.locks import holder_by_kernel, is_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

KEY: Final = "key-"  # prefix of the file of a key
NAME: Final = "name-"  # prefix of the file of a name
LOCK_WAIT: Final = 120.0  # seconds: the time that a `replace` may take to cancel the running experiment
LOCK_PAUSE: Final = 0.05  # seconds between tries
LARGEST: Final = 1 << 24  # bytes that are read of the ids of a key
LONGEST_NAME: Final = 180  # characters of a key in its file's name; a longer key is cut and hashed


@dataclass(frozen=True, slots=True)
class Holding:
    """A key that is held."""

    home: Home
    name: str | None
    path: Path
    descriptor: int

    def ids(self) -> list[str]:
        """The ids of the experiments started under it, oldest first; of a name only existing ones."""
        if self.name is not None:
            return sorted(self.home.ids(self.name), key=age_key)
        return _ids(self.descriptor)

    def add(self, experiment_id: str) -> None:
        """Store another experiment's id."""
        if self.name is None:
            size = os.fstat(self.descriptor).st_size
            os.pwrite(self.descriptor, experiment_id.encode() + b"\n", size)
            os.fsync(self.descriptor)
            if not is_at(self.path, self.descriptor):
                self._restore()

    def _restore(self) -> None:
        """Add the ids to the file that has the path now, because another program removed or replaced it."""
        own = _ids(self.descriptor)
        descriptor = descriptor_to_change(self.path, appends=True)
        try:
            present = _ids(descriptor)
            missing = [experiment_id for experiment_id in own if experiment_id not in present]
            os.write(descriptor, "".join(f"{experiment_id}\n" for experiment_id in missing).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def hold(home: Home, *, key: str | None, name: str) -> Iterator[Holding]:
    """Hold a key, or without one a name, until the block is left.

    Raises:
        LockHeldError: another process has held it for LOCK_WAIT.
    """
    make_folder(home.keys)
    path = home.keys / (f"{KEY}{_encode(key)}" if key is not None else f"{NAME}{_encode(name)}")
    descriptor = _take(path)
    try:
        yield Holding(home, None if key is not None else name, path, descriptor)
    finally:
        os.close(descriptor)


def _ids(descriptor: int) -> list[str]:
    data = os.pread(descriptor, min(os.fstat(descriptor).st_size, LARGEST), 0)
    return data.decode(errors="replace").split()


def leftovers(home: Home) -> Iterator[Path]:
    """The files of keys and names whose experiments have all been removed."""
    try:
        paths = sorted(home.keys.iterdir())
    except OSError:  # it does not exist, or belongs to another user
        return
    removed = home.removed_ids()
    for path in paths:
        if path.name.startswith(KEY) and is_regular(path, follows_link=False):
            ids = _ids_of_key
        elif path.name.startswith(NAME) and is_regular(path, follows_link=False):
            ids = _ids_of_name
        else:
            continue
        try:
            is_used = any(known in removed or home.experiment(known) for known in ids(home, path))
        except (LedgerError, OSError):  # whether it is needed cannot be determined
            continue
        if not is_used:
            yield path


def _ids_of_key(home: Home, path: Path) -> list[str]:
    del home
    return read_bytes(path, limit=LARGEST, follows_link=False).decode(errors="replace").split()


def _ids_of_name(home: Home, path: Path) -> list[str]:
    return list(home.ids(unquote(path.name.removeprefix(NAME))))


def discard(path: Path) -> bool:
    """Remove the file of a key unless it is locked; return whether it no longer exists."""
    try:
        descriptor = descriptor_to_change(path, creates=False)
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
    """The descriptor of the key's file, locked; the file is created again if it was removed meanwhile."""
    while True:
        descriptor = descriptor_to_change(path)
        try:
            _lock(descriptor, path)
            if is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                pid = holder_by_kernel(path)
                holder = f"pid {pid}" if pid else "an unknown process"
                raise LockHeldError(f"{path} has been held for {LOCK_WAIT:g} s by {holder}") from None
            time.sleep(LOCK_PAUSE)
        else:
            return


def _encode(text: str) -> str:
    """A file name for any text; a short text stays readable."""
    quoted = quote(text, safe="=+@,")
    if len(quoted) <= LONGEST_NAME:
        return quoted
    import hashlib  # noqa: PLC0415 - rarely needed, and slow to load

    return f"{quoted[:LONGEST_NAME]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
