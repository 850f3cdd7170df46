"""Locks that the kernel releases when their holder dies: `flock` on a descriptor that can be inherited.

A probe takes the lock shared and only for an instant, so that probes neither block nor see each other. A
process that takes the lock may collide with a probe and therefore tries again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.errors import LockHeldError
from nemorun_cli.system import pids
from nemorun_cli.system.files import (
    RefusedFileError,
    descriptor_of_new,
    descriptor_to_change,
    descriptor_to_read,
    read_bytes,
)
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATIENCE: Final = 0.1  # seconds that `take` keeps trying, because the current holder may be a probe
PAUSE: Final = 0.002  # seconds between tries
LARGEST_HOLDER: Final = 1 << 16  # bytes of a lock file
RENEWAL_WAIT: Final = 60.0  # seconds that a holder waits for the lock of the file that replaced its own
RENEW_AFTER: Final = 1.0  # seconds until a removed lock file is made again


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a lock, from the lock file; valid only on the host and boot that it names.

    `problem` is why it cannot write the ledger, while it cannot.
    """

    pid: int
    host: str
    boot: str
    since: str
    problem: str | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """A holder from an event of the ledger or from a lock file."""
        pid, problem = values.get("pid"), values.get("problem")
        return cls(
            pid=pid if type(pid) is int and 0 < pid <= pids.LARGEST else 0,
            host=str(values.get("host", "")),
            boot=str(values.get("boot", "")),
            since=str(values.get("since", "")),
            problem=problem if isinstance(problem, str) else None,
        )

    @property
    def is_here(self) -> bool:
        """Whether the holder ran on this host and in its current boot."""
        return self.host == hostname() and self.boot == boot_id()

    @property
    def is_this_host(self) -> bool:
        """Whether the holder ran on this host, in any boot."""
        return self.host == hostname()


@cache
def hostname() -> str:
    """The name of this host."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """An id that changes when the machine restarts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil  # noqa: PLC0415 - needed only without /proc

        return str(int(psutil.boot_time()))


def take(path: Path, *, patience: float = PATIENCE) -> int | None:
    """Lock the file exclusively, creating it if missing; return its descriptor, or None if it is held.

    `patience` is in seconds.
    """
    end = time.monotonic() + patience
    while (descriptor := try_take(path)) is None and time.monotonic() < end:
        time.sleep(PAUSE)
    return descriptor


def try_take(path: Path) -> int | None:
    """Like `take`, but with a single try."""
    try:
        return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def share(path: Path) -> int:
    """Lock the file shared, creating it if missing; return its descriptor.

    Raises:
        BlockingIOError: it is held exclusively, and not only by a probe.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(PAUSE)


@contextlib.contextmanager
def sharing(path: Path) -> Iterator[None]:
    """A context in which the lock is held shared; it waits for a process that holds it exclusively."""
    descriptor = descriptor_to_change(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, operation: int) -> int:
    """Lock the file that has this path; one that is removed while it is being locked protects nothing."""
    while True:
        descriptor = descriptor_to_change(path)
        try:
            fcntl.flock(descriptor, operation)
            if is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to the file of a descriptor, which may have been removed or replaced."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def take_new(name: str, *, folder: int, path: Path) -> int | None:
    """Create a file and lock it exclusively; return its descriptor, or None if it exists or is held already.

    Args:
        name: the name of the file in a folder that this process has made.
        folder: the descriptor of that folder.
        path: of the folder, which errors name.
    """
    try:
        descriptor = descriptor_of_new(name, os.O_RDWR, folder=folder, path=path)
    except FileExistsError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):  # a probe has it
            return None
        raise
    return descriptor


def is_held(path: str | Path, *, folder: int | None = None) -> bool:
    """Whether a process holds the lock exclusively; False if the file does not exist.

    `folder` is the descriptor of its folder, if that was entered.
    """
    return _is_refused(lambda: descriptor_to_read(path, follows_link=False, folder=folder), fcntl.LOCK_SH)


def is_shared(path: Path) -> bool:
    """Whether a process holds the lock, shared or not; False if the file does not exist."""
    return _is_refused(lambda: descriptor_to_change(path, creates=False), fcntl.LOCK_EX)


def _is_refused(opened: Callable[[], int], operation: int) -> bool:
    try:
        descriptor = opened()
    except (FileNotFoundError, NotADirectoryError, RefusedFileError):
        return False  # what replaced the file is not what a process has locked
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def try_take_nameless(path: Path) -> int | None:
    """Like `try_take`, for a process that is not a supervisor: the file names no holder while it is held."""
    descriptor = try_take(path)
    if descriptor is not None:
        os.ftruncate(descriptor, 0)
    return descriptor


def is_held_by_name(path: Path) -> bool:
    """Whether a supervisor holds the lock, rather than a probe; see `named_holder`."""
    return named_holder(path) is not None


def named_holder(path: Path) -> Holder | None:
    """The supervisor that holds the lock; None if nobody or a probe does.

    A process that a killed supervisor was just starting keeps the lock's descriptor for an instant: the
    function waits up to PATIENCE for its release.
    """
    if not is_held(path) or (holder := read_holder(path)) is None:
        return None
    end = time.monotonic() + PATIENCE
    while holder.is_here and not pids.exists(holder.pid) and time.monotonic() < end:
        if not is_held(path):
            return None
        time.sleep(PAUSE)
    return holder


class HeldLock:
    """A lock that this process holds for long, although other programs may remove its file.

    Args:
        path: the lock file.
        descriptor: of that file, locked; closed by `close`.
        holder: this process as the file names it; None for one that is not a supervisor.
    """

    def __init__(self, path: Path, descriptor: int, holder: Holder | None = None) -> None:
        self.path = path
        self._holder = holder
        self._missing_since: float | None = None  # monotonic, if the file was missing at the last look
        self._use(descriptor)

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._file = status.st_dev, status.st_ino
        if self._holder is not None:
            with contextlib.suppress(OSError):  # on a full disk; a later `keep` writes it
                write_holder(descriptor, self._holder)

    def name(self, holder: Holder) -> None:
        """Describe the holder again, in the lock file, whose block is large enough on a full disk too."""
        self._holder = holder
        with contextlib.suppress(OSError):  # a file system that needs a new block even for that
            write_holder(self._descriptor, holder)

    def keep(self) -> bool:
        """Lock the file again if it was removed or replaced, and name the holder again if it is empty.

        A removed file is made again after RENEW_AFTER: somebody may be removing its whole folder.

        Returns:
            Whether another file had to be locked.

        Raises:
            LockHeldError: another supervisor has locked the new file, or another process does for too long.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            now = time.monotonic()
            self._missing_since = now if self._missing_since is None else self._missing_since
            return now - self._missing_since >= RENEW_AFTER and self._renew()
        except OSError:
            return False  # it cannot be examined now
        self._missing_since = None
        if (status.st_dev, status.st_ino) != self._file:
            return self._renew()
        if not status.st_size and self._holder is not None:
            self._use(self._descriptor)
        return False

    def _renew(self) -> bool:
        end = time.monotonic() + RENEWAL_WAIT
        while True:
            try:
                descriptor = take(self.path)
            except OSError:
                return False  # a read-only or full disk, or a folder in its place; tried again later
            if descriptor is not None:
                os.close(self._descriptor)
                self._use(descriptor)
                return True
            if (other := named_holder(self.path)) is not None or time.monotonic() > end:
                who = f"process {other.pid} on {other.host}" if other else "another process"
                raise LockHeldError(f"{self.path} was removed, and {who} has locked the new file")

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def write_holder(descriptor: int, holder: Holder) -> None:
    """Write the holder into the lock file; its block is kept, because a full disk would not grant another."""
    data = json.dumps(asdict(holder)).encode() + b"\n"
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def read_holder(path: Path) -> Holder | None:
    """The last holder of the lock that the file names; None if it names none, or is incomplete."""
    try:
        values = json.loads(read_bytes(path, limit=LARGEST_HOLDER, follows_link=False))
    except OSError as error:
        if is_shortage(error):
            raise
        return None
    except (ValueError, RecursionError):
        return None
    return Holder.from_mapping(values) if isinstance(values, dict) else None


def holder_by_kernel(path: Path) -> int | None:
    """The pid of the process that holds a `flock` on this file, by /proc/locks (Linux); None if unknown."""
    try:
        status = path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.splitlines():
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5] == inode:  # noqa: PLR2004 - columns of proc(5)
            return int(parts[4])
    return None
