"""A task's processes: its group, its descendants, and all that carry its mark, and how they are ended.

The mark is the attempt's identity in the environment, which every descendant inherits. It counts by the
attempt's folder itself, so that experiments of one id under two homes are kept apart, and one home under
two names is one. A process that cleared its environment and left both group and parents cannot be found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

SUPERVISOR_VARIABLE: Final = (
    "EXP_SUPERVISOR"  # in the environment of a supervisor, which is no part of any task
)
WATCHDOG_VARIABLE: Final = "EXP_WATCHDOG"  # in that of a shim's watchdog: the folder of the attempt
FIRST_LOOK: Final = 0.01  # seconds until the second look at what was told to end
LONGEST_PAUSE: Final = 0.5  # seconds between looks

Mark = tuple[int, int]  # device and inode of the attempt's folder
NOWHERE: Final[Mark] = (0, 0)  # of a folder that is not there; no process carries it


@dataclass(frozen=True, slots=True)
class ScannedProcess:
    """One process as a scan found it."""

    process: psutil.Process
    parent: int
    group: int
    mark: Mark | None
    is_supervisor: bool
    watches: Mark | None


def mark(folder: Path) -> Mark:
    """The mark of the attempt in this folder."""
    try:
        found = folder.stat()
    except OSError:
        return NOWHERE
    return found.st_dev, found.st_ino


def scan() -> dict[int, ScannedProcess]:
    """All processes that are alive and may be looked into, by pid."""
    import psutil  # noqa: PLC0415 - heavy, and only needed when there is cause to look

    found = {}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            parent, group = process.ppid(), os.getpgid(process.pid)
            environ = process.environ()
        except (psutil.Error, OSError):
            continue
        found[process.pid] = ScannedProcess(
            process=process,
            parent=parent,
            group=group,
            mark=_mark(environ),
            is_supervisor=SUPERVISOR_VARIABLE in environ,
            watches=mark(Path(environ[WATCHDOG_VARIABLE])) if WATCHDOG_VARIABLE in environ else None,
        )
    return found


def mark_of(pid: int) -> Mark | None:
    """The mark a process carries, or None if it is gone, has none, or may not be looked into."""
    import psutil  # noqa: PLC0415 - heavy, and only needed when there is cause to look

    try:
        return _mark(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return None


def _mark(environ: Mapping[str, str]) -> Mark | None:
    try:
        files = ExperimentFiles(Path(environ["EXP_DIR"]))
        found = mark(files.attempt(environ["EXP_TASK"], int(environ["EXP_ATTEMPT"])).directory)
    except (KeyError, ValueError):
        return None
    return None if found == NOWHERE else found


def tree(wanted: Mark, seen: Mapping[int, ScannedProcess]) -> set[int]:
    """The pids of a task's processes among those that were seen, the watchdog of its attempt included.

    A process group counts only through a member that carries the mark, and not if somebody else
    leads it, so that neither a recycled group id nor a task in the foreground of a terminal's
    group harms others. Nested experiments are left alone: they have marks of their own.
    """
    marked = {pid for pid, one in seen.items() if one.mark == wanted and not one.is_supervisor}
    groups = {seen[pid].group for pid in marked}
    groups = {group for group in groups if group in marked or group not in seen}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, one in seen.items():
        children[one.parent].append(pid)
    found: set[int] = set()
    queue = [
        pid for pid, one in seen.items() if pid in marked or one.group in groups or one.watches == wanted
    ]
    while queue:
        pid = queue.pop()
        one = seen[pid]
        if pid in found or one.is_supervisor or one.mark not in (wanted, None):
            continue
        found.add(pid)
        queue += children[pid]
    return found


@dataclass(slots=True)
class TreeStop:
    """The ending of one task's processes: the signal, a grace period, KILL, until two looks find none."""

    mark: Mark
    signal: int
    grace: float
    due: float = 0.0  # monotonic time of the next look
    is_done: bool = False
    has_killed: bool = False
    _deadline: float | None = None
    _pause: float = FIRST_LOOK
    _empty: int = 0
    _told: set[int] = field(default_factory=set)

    def hurry(self, number: int, grace: float) -> None:
        """Use another signal and grace from now on; a later KILL overrides an earlier TERM."""
        self.signal, self.grace = number, grace
        self._told.clear()
        self._deadline = None
        self.due = 0.0

    def advance(self, seen: Mapping[int, ScannedProcess]) -> None:
        """Take one look and do what it calls for."""
        now = time.monotonic()
        pids = tree(self.mark, seen)
        if not pids:
            self._empty += 1
            self.is_done = self._empty > 1
            self.due = now + FIRST_LOOK
            return
        self._empty = 0
        if self._deadline is None:
            self._deadline = now + self.grace
        if now >= self._deadline:
            _tell((seen[pid].process for pid in sorted(pids)), signal.SIGKILL)
            self.has_killed = True
        else:
            # Parents first: one whose child ends before it is told itself would take the next step.
            _tell((seen[pid].process for pid in sorted(pids - self._told)), self.signal)
            self._told |= pids
        self._pause = min(self._pause * 1.5, LONGEST_PAUSE)
        self.due = min(now + self._pause, max(self._deadline, now + FIRST_LOOK))


def _tell(targets: Iterable[psutil.Process], number: int) -> None:
    import psutil  # noqa: PLC0415 - loaded already by whoever made the processes

    for process in targets:
        with contextlib.suppress(psutil.Error, OSError):  # it ended meanwhile
            process.send_signal(number)
