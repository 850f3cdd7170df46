"""The children of this process: orphans that it inherited from tasks are reaped, and nothing else is.

The code that reaps a process takes its exit code. A supervisor is a subreaper and inherits orphans, which
look like the processes that it starts itself, so `keep` names those.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)

_kept: set[int] = set()
_inherits_orphans = False


def inherit_orphans(*, enabled: bool = True) -> None:
    """Become a subreaper: orphans of tasks become children of this process."""
    global _inherits_orphans  # noqa: PLW0603 - a property of the process
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - only on systems with prctl

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0)
    _inherits_orphans = enabled


def keep(pid: int) -> None:
    """Leave a child to the code that started it, until `release` is called."""
    _kept.add(pid)


def release(pid: int) -> None:
    """Reap this child with the orphans from now on, if it is not reaped yet."""
    _kept.discard(pid)


def reap_orphans(*, but: AbstractSet[int]) -> None:
    """Reap the orphans that have ended, except for these pids; does nothing in a process that inherits none.

    A child in the session of this process is no orphan: tasks have sessions of their own.
    """
    if not _inherits_orphans:
        return
    for pid in all_pids() - but - _kept:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            if os.getsid(pid) != os.getsid(0):
                os.waitpid(pid, os.WNOHANG)


def all_pids() -> set[int]:
    """The pids of all children, zombies included; none where the system does not list them."""
    try:
        descriptor = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # exists only on Linux, and only with CONFIG_PROC_CHILDREN
        return set()
    try:
        text = b""
        while chunk := os.read(descriptor, 65536):
            text += chunk
    finally:
        os.close(descriptor)
    return {int(pid) for pid in text.split()}
