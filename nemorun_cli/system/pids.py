"""Whether a process exists, and whether it can run at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, Literal

Halt = Literal["stopped", "frozen"]

LARGEST: Final = 2**31 - 1  # the largest pid that a call of the system takes
CGROUPS: Final = Path("/sys/fs/cgroup")


def exists(pid: int) -> bool:
    """Whether a process with this pid exists; a zombie counts. 0 stands for an unknown process."""
    if pid <= 0:  # for the system, a whole group of processes
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by SIGSTOP or a debugger; False where there is no /proc."""
    state = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[:1]
    return state in (["T"], ["t"])


def halt(pid: int) -> Halt | None:
    """Why a process does not run: stopped by a signal or a debugger, or in a frozen cgroup.

    None if it runs, has exited, or the system has no /proc.
    """
    if is_stopped(pid):
        return "stopped"
    return "frozen" if _is_frozen(pid) else None


def _is_frozen(pid: int) -> bool:
    for line in _text(Path(f"/proc/{pid}/cgroup")).splitlines():
        controllers, _, group = line.partition(":")[2].partition(":")
        if controllers == "freezer":
            if "FROZEN" in _text(CGROUPS / "freezer" / group.lstrip("/") / "freezer.state"):
                return True
        elif not controllers:
            for root in (CGROUPS, CGROUPS / "unified"):
                if "frozen 1" in _text(root / group.lstrip("/") / "cgroup.events"):
                    return True
    return False


def _text(path: Path) -> str:
    """The text of a file of the kernel; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def open_files(pid: int) -> list[str]:
    """The paths of the files that a process has open; empty if they cannot be read."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - names suffice
    except OSError:  # it belongs to another user or has exited, or there is no /proc
        return []
    paths = []
    for name in names:
        with contextlib.suppress(OSError):  # it was closed meanwhile
            paths.append(os.readlink(f"/proc/{pid}/fd/{name}"))  # noqa: PTH115 - the text, as the kernel gives it
    return paths
