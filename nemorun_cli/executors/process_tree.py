"""A task's processes (its group, its descendants, all processes with its marker), and their termination.

The attempt marker is the attempt's identity in the environment, which every descendant inherits. It is
compared by the device and inode of the attempt's folder: experiments with the same id in two homes differ,
and two paths of one home are equal. A removed folder is compared by its path, and a moved one is found
through the lock that the process holds. A process that cleared its environment and left both its group and
its parents cannot be found.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.escalation import KILL, Escalation
from nemorun_cli.model.attempt_end import signal_number
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
from nemorun_cli.system.backoff import Backoff
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

LOCK_DESCRIPTOR: Final = 9  # where the shim, and by inheritance its task, has the attempt's lock
WATCHDOG_VARIABLE: Final = "EXP_WATCHDOG"  # set for a shim's watchdog: the folder of the attempt
FIRST_LOOK: Final = 0.01  # seconds from the signal to the second scan
LONGEST_PAUSE: Final = 0.5  # seconds between scans

Mark = tuple[int, int]  # device and inode of the attempt's folder, or REMOVED and a hash of its path
NOWHERE: Final[Mark] = (0, 0)  # of a folder that does not exist; no process carries it
REMOVED: Final = -1  # no device has this number


@dataclass(frozen=True, slots=True)
class ScannedProcess:
    """A process at the time of a scan."""

    process: psutil.Process
    parent: int
    group: int
    mark: Mark | None
    is_supervisor: bool
    watches: Mark | None


def mark(folder: Path) -> Mark:
    """The marker of the attempt in this folder."""
    try:
        status = folder.stat()
    except OSError:
        return NOWHERE
    return status.st_dev, status.st_ino


def mark_of_attempt(folder: Path) -> Mark:
    """The marker that an attempt's processes carry, even if its folder was removed."""
    found = mark(folder)
    return (REMOVED, hash(os.path.realpath(folder))) if found == NOWHERE else found


def scan() -> dict[int, ScannedProcess]:
    """All live processes whose environment is readable, by pid."""
    import psutil  # noqa: PLC0415 - heavy, and only needed for a scan

    scanned = {}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            parent, group = process.ppid(), os.getpgid(process.pid)
            environ = process.environ()
        except (psutil.Error, OSError) as error:
            if is_shortage(error):  # otherwise a process would seem not to exist
                raise
            continue
        scanned[process.pid] = ScannedProcess(
            process=process,
            parent=parent,
            group=group,
            mark=mark_in(environ, process.pid),
            is_supervisor=SUPERVISOR_VARIABLE in environ,
            watches=_watched(environ),
        )
    return scanned


def mark_of(pid: int) -> Mark | None:
    """The marker of a process, or None if it has none, has exited, or its environment is not readable."""
    import psutil  # noqa: PLC0415 - heavy, and only needed for a scan

    try:
        return mark_in(psutil.Process(pid).environ(), pid)
    except (psutil.Error, OSError) as error:
        if is_shortage(error):
            raise
        return None


def mark_in(environ: Mapping[str, str], pid: int) -> Mark | None:
    """The marker in the environment of a process, or None if it has none."""
    try:
        experiment = ExperimentFiles(Path(environ["EXP_DIR"]))
        attempt = experiment.attempt(environ["EXP_TASK"], int(environ["EXP_ATTEMPT"]))
    except (KeyError, ValueError):
        return None
    found = mark(attempt.directory)
    if found != NOWHERE:
        return found
    return mark_of_attempt(_moved(attempt, experiment, pid) or attempt.directory)


def _watched(environ: Mapping[str, str]) -> Mark | None:
    folder = environ.get(WATCHDOG_VARIABLE)
    return mark_of_attempt(Path(folder)) if folder else None


def _moved(attempt: AttemptFiles, experiment: ExperimentFiles, pid: int) -> Path | None:
    """The folder to which an attempt was moved, by the path of the lock that a process holds (Linux)."""
    try:
        lock = os.readlink(f"/proc/{pid}/fd/{LOCK_DESCRIPTOR}")  # noqa: PTH115 - called for each process of a scan
    except OSError:
        return None
    is_its = lock.endswith(f"/{attempt.lock.relative_to(experiment.directory)}")
    return Path(lock).parent if is_its else None


def tree(wanted: Mark, seen: Mapping[int, ScannedProcess], *, shim: int | None = None) -> set[int]:
    """The pids of a task's processes in a scan, including the watchdog of its attempt.

    `shim` is the pid of its shim, if that is known for certain, as that of a child which was not reaped.

    A process group counts only if a member carries the marker and its leader, if alive, does too.
    So neither a recycled group id nor a task in a terminal's foreground group affects unrelated
    processes. Nested experiments are not included: they have their own markers.
    """
    marked = {pid for pid, process in seen.items() if process.mark == wanted and not process.is_supervisor}
    groups = {seen[pid].group for pid in marked}
    groups = {group for group in groups if group in marked or group not in seen}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, process in seen.items():
        children[process.parent].append(pid)
    pids: set[int] = set()
    queue = [
        pid
        for pid, process in seen.items()
        if pid in marked or process.group in groups or process.watches == wanted or pid == shim
    ]
    while queue:
        pid = queue.pop()
        process = seen[pid]
        is_other = process.is_supervisor or process.mark not in (wanted, None)
        if pid in pids or (is_other and pid != shim):
            continue
        pids.add(pid)
        queue += children[pid]
    return pids


@dataclass(slots=True)
class TreeStop:
    """Terminates a task's processes: the signal, a grace period, KILL, until two scans find none.

    With `folder`, each scan uses the marker that the folder has then: it may be removed meanwhile.
    """

    mark: Mark
    escalation: Escalation
    due: float = 0.0  # monotonic time of the next scan
    folder: Path | None = None
    is_done: bool = False
    last_signal: str | None = None  # the short name of the last signal that was sent
    _scans: Backoff = field(
        default_factory=lambda: Backoff(first=FIRST_LOOK, longest=LONGEST_PAUSE, growth=1.5)
    )
    _empty: int = 0
    _signalled: set[int] = field(default_factory=set)

    def hurry(self, signal: str, grace: float) -> None:
        """Apply another request to terminate them."""
        self.escalation.hurry(signal, grace)
        self._signalled.clear()
        self.due = 0.0

    def advance(self, seen: Mapping[int, ScannedProcess], *, shim: int | None = None) -> None:
        """Send the signals that are due to the processes of a scan; `shim` is as in `tree`."""
        now = time.monotonic()
        if self.folder is not None:
            self.mark = mark_of_attempt(self.folder)
        pids = tree(self.mark, seen, shim=shim)
        if not pids:
            self._empty += 1
            self.is_done = self._empty > 1
            self.due = now + FIRST_LOOK
            return
        self._empty = 0
        self.last_signal = self.escalation.next_signal()
        # Parents first: a parent that outlives its child, even briefly, would start its next step.
        chosen = sorted(pids if self.last_signal == KILL else pids - self._signalled)
        _send_signal((seen[pid].process for pid in chosen), signal_number(self.last_signal))
        self._signalled |= pids
        self.due = min(self._scans.due(), max(self.escalation.deadline, now + FIRST_LOOK))


def _send_signal(targets: Iterable[psutil.Process], number: int) -> None:
    import psutil  # noqa: PLC0415 - heavy, and already loaded by the scan

    for process in targets:
        with contextlib.suppress(psutil.Error, OSError):  # it exited in the meantime
            process.send_signal(number)
