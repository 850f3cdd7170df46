"""Locks that the kernel releases when their holder dies: `flock` on a descriptor that can be inherited.

Probes take the lock shared and only for an instant, so that any number of them neither block
nor see one another; a starter may collide with a probe and therefore tries again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.system import pids
from nemorun_cli.system.files import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE: Final = 0.1  # seconds that a starter goes on trying, for what it met may be a probe
PAUSE: Final = 0.002  # seconds between its tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as written into it: believed only on the host and boot it names."""

    pid: int
    host: str
    boot: str
    since: str

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """A holder as a ledger or a lock file describes it."""
        pid = values.get("pid")
        return cls(
            pid=pid if isinstance(pid, int) else 0,
            host=str(values.get("host", "")),
            boot=str(values.get("boot", "")),
            since=str(values.get("since", "")),
        )

    @property
    def is_here(self) -> bool:
        """Whether this is the host and the boot where the holder ran."""
        return self.host == hostname() and self.boot == boot_id()

    @property
    def is_this_host(self) -> bool:
        """Whether the holder ran on this host, be it before a restart."""
        return self.host == hostname()


@cache
def hostname() -> str:
    """This machine's name."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """What changes when the machine restarts; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil  # noqa: PLC0415 - needed only where there is no /proc

        return str(int(psutil.boot_time()))


def take(path: Path, *, patience: float = PATIENCE) -> int | None:
    """An exclusive lock on the file, made if missing: its descriptor, or None if somebody holds it.

    `patience` is in seconds.
    """
    end = time.monotonic() + patience
    while (descriptor := try_take(path)) is None and time.monotonic() < end:
        time.sleep(PAUSE)
    return descriptor


def try_take(path: Path) -> int | None:
    """Like `take`, but without a second try."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock; a file that is not there is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def try_take_nameless(path: Path) -> int | None:
    """Like `try_take`, for whoever is no supervisor: while it is held, the file says that of nobody."""
    descriptor = try_take(path)
    if descriptor is not None:
        os.ftruncate(descriptor, 0)
    return descriptor


def is_held_by_name(path: Path) -> bool:
    """Whether a supervisor holds the lock, and not somebody who only looks.

    What one that was killed was just starting has its descriptors for an instant, and is waited for.
    """
    if not is_held(path) or (holder := read_holder(path)) is None:
        return False
    end = time.monotonic() + PATIENCE
    while holder.is_here and not pids.exists(holder.pid) and time.monotonic() < end:
        if not is_held(path):
            return False
        time.sleep(PAUSE)
    return True


def write_holder(descriptor: int, holder: Holder) -> None:
    """Say in the lock file who holds it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(holder)).encode() + b"\n", 0)


def read_holder(path: Path) -> Holder | None:
    """Who last held the lock, or None if nobody ever did; half-written is nobody."""
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Holder.from_mapping(values) if isinstance(values, dict) else None


def holder_by_kernel(path: Path) -> int | None:
    """The pid that the kernel names as the holder of a `flock` on this file, where it tells (Linux)."""
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
