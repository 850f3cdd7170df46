"""What this machine lets a process have: open files, and errors that mean that something ran short."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH_FILES: Final = 1 << 16  # a higher limit makes programs slow that close all possible descriptors

RESERVED_FILES: Final = 32

_SHORTAGES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}
)

_callers: tuple[int, int] | None = None  # the limits of open files before `allow_many_files`, and after it
_raised: tuple[int, int] | None = None


def is_shortage(error: BaseException) -> bool:
    """Whether an error means that this machine lacks descriptors, processes, memory or disk space now."""
    return isinstance(error, OSError) and error.errno in _SHORTAGES


def are_files_scarce(descriptor: int) -> bool:
    """Whether a descriptor that was just opened is one of the last that this process can have.

    What holds descriptors for a long time leaves these for what has to be read in between.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - RESERVED_FILES


def umask() -> int:
    """The umask of this process."""
    value = os.umask(0o077)
    os.umask(value)
    return value


def inherited() -> object:
    """What a process inherits that this one starts now; equal if nothing was changed in between."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    limits = [resource.getrlimit(getattr(resource, name)) for name in names]
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None  # not on macOS
    return dict(os.environ), umask(), limits, os.getpriority(os.PRIO_PROCESS, 0), cpus


def allow_many_files() -> None:
    """Raise this process's soft limit of open files as far as its hard limit allows."""
    global _callers, _raised
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):  # the system may have a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        _callers, _raised = (soft, hard), (wanted, hard)


@contextlib.contextmanager
def callers_limits() -> Iterator[None]:
    """In this block, a process that is started gets the limits that this one had when it was started."""
    if _callers is None or _raised is None:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, _callers)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, _raised)
