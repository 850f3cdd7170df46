"""The CPU time and the memory of attempts whose processes run on this machine, from /proc.

One look at all processes serves any number of attempts. A process belongs to an attempt by the marker in its
environment, which is read once in its life; without a marker of its own it belongs where the leader of its
group or its parent does, so that it is found after it was reparented, too.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.executors import process_tree
from nemorun_cli.model.usage_sample import UsageSample
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.executors import Key
    from nemorun_cli.executors.process_tree import Mark

PROC: Final = "/proc"
LONGEST_STAT: Final = 1024  # bytes of a process's `stat`, whose name has at most 64
CHUNK: Final = 1 << 16  # bytes read at a time of an environment
MARKER: Final = b"EXP_ATTEMPT="

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NOBODY: Final[Mark] = process_tree.NOWHERE  # of a supervisor: what it starts inherits nothing from it


class _Process(NamedTuple):
    parent: int
    group: int
    started: int  # clock ticks since the boot: with the pid it identifies a process
    ticks: int  # of the process, and of those of its children that ended and that it waited for


class _Attempt:
    """An attempt at its previous sample."""

    __slots__ = ("mark", "measured", "processes")

    def __init__(self, mark: Mark) -> None:
        self.mark = mark  # its folder may be removed later
        self.measured: float | None = None  # monotonic
        self.processes: dict[int, _Process] = {}


class ProcessUsage:
    """Measures attempts; what it remembers of each is only for the time between two samples."""

    def __init__(self) -> None:
        self._marks: dict[int, tuple[int, Mark | None]] = {}  # by pid: when it started, and its marker
        self._attempts: dict[Key, _Attempt] = {}

    def measure(self, folders: Mapping[Key, Path]) -> dict[Key, UsageSample]:
        """Samples of the attempts in these folders; of an attempt without a process, nothing.

        The first sample of an attempt has the average of its CPU use since its oldest process started.
        """
        try:
            return self._measured(folders)
        except OSError as error:  # a shortage, or there is no /proc
            if not is_shortage(error) and os.path.isdir(PROC):  # noqa: PTH112 - a constant
                raise
            return {}

    def _measured(self, folders: Mapping[Key, Path]) -> dict[Key, UsageSample]:
        processes = self._look()
        now, wall = time.monotonic(), time.time()
        members = self._members(processes)
        samples = {}
        for key, folder in folders.items():
            attempt = self._attempts.get(key)
            if attempt is None:
                attempt = self._attempts[key] = _Attempt(process_tree.mark_of_attempt(folder))
            own = {pid: processes[pid] for pid in members.get(attempt.mark, ())}
            if own:
                memory = sum(map(_pages, own)) * _PAGE
                samples[key] = UsageSample(time=wall, cpu=_cores(attempt, own, now), memory=memory)
                attempt.measured, attempt.processes = now, own
        return samples

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an attempt that has ended."""
        self._attempts.pop(key, None)

    def _look(self) -> dict[int, _Process]:
        """All processes of this machine but the kernel's; learns the markers of those that are new."""
        processes, marks = {}, {}
        for name in os.listdir(PROC):  # noqa: PTH208 - names, of each process
            if not name.isdigit():
                continue
            try:
                process = _parsed(_read(f"{name}/stat", LONGEST_STAT))
            except OSError as error:
                if is_shortage(error):
                    raise
                continue  # it has ended
            if not process.group:
                continue
            pid = int(name)
            known = self._marks.get(pid)
            if known is None or known[0] != process.started:
                known = (process.started, _mark(pid))
            processes[pid], marks[pid] = process, known
        self._marks = marks
        return processes

    def _members(self, processes: Mapping[int, _Process]) -> dict[Mark, list[int]]:
        """The pids of each attempt."""
        owners: dict[int, Mark | None] = {}
        members: dict[Mark, list[int]] = {}
        for pid in processes:
            path = []
            owner, at = None, pid
            while at in processes and at not in owners:
                path.append(at)
                group = processes[at].group
                owner = self._marks[at][1] or (self._marks[group][1] if group in processes else None)
                owners[at] = owner  # ends a cycle, which processes of different moments could form
                if owner is not None:
                    break
                at = processes[at].parent
            else:
                owner = owners.get(at)
            for passed in path:
                owners[passed] = owner
                if owner is not None and owner != _NOBODY:
                    members.setdefault(owner, []).append(passed)
        return members


def _cores(attempt: _Attempt, own: Mapping[int, _Process], now: float) -> float | None:
    """The cores that were in use on average since the previous sample, or since the first process started.

    The time of a process that has ended is in that of the parent that waited for it, including what was
    counted before. If another process did, as for an orphan, only what was counted before is known.
    """
    if attempt.measured is None:
        spent = sum(process.ticks for process in own.values())
        begun = min(process.started for process in own.values()) * _TICK
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - begun
    else:
        before = attempt.processes
        staying = {pid for pid, process in own.items() if _is_same(before.get(pid), process)}
        spent = sum(process.ticks for process in own.values())
        spent -= sum(process.ticks for pid, process in before.items() if _is_counted(pid, before, staying))
        seconds = now - attempt.measured
    return max(0.0, spent * _TICK / seconds) if seconds > 0 else None


def _is_same(process: _Process | None, other: _Process) -> bool:
    return process is not None and process.started == other.started


def _is_counted(pid: int, before: Mapping[int, _Process], staying: set[int]) -> bool:
    """Whether the time of an earlier process is part of the present times: of its own or an ancestor's."""
    passed = set()
    while pid in before and pid not in passed:
        if pid in staying:
            return True
        passed.add(pid)
        pid = before[pid].parent
    return False


def _parsed(stat: bytes) -> _Process:
    """A process from its `stat`: the fields after its name, which may contain anything."""
    fields = stat[stat.rfind(b")") + 2 :].split(None, 20)
    return _Process(
        parent=int(fields[1]),
        group=int(fields[2]),
        started=int(fields[19]),
        ticks=int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14]),
    )


def _pages(pid: int) -> int:
    """The resident pages of a process, none if it has ended; `stat` has only an estimate of them."""
    try:
        return int(_read(f"{pid}/statm", LONGEST_STAT).split()[1])
    except OSError as error:
        if is_shortage(error):
            raise
        return 0


def _mark(pid: int) -> Mark | None:
    """The marker in the environment of a process; None if it has none, or is another user's."""
    try:
        data = _read(f"{pid}/environ", CHUNK)
    except OSError as error:
        if is_shortage(error):
            raise
        return None
    pairs = dict(pair.partition("=")[::2] for pair in os.fsdecode(data).split("\0"))
    if SUPERVISOR_VARIABLE in pairs:
        return _NOBODY
    return process_tree.mark_in(pairs, pid) if MARKER in data else None


def _read(name: str, size: int) -> bytes:
    """The content of a file of /proc, which is read whole if it is larger."""
    descriptor = os.open(f"/proc/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = part = os.read(descriptor, size)
        while len(part) == size:
            part = os.read(descriptor, size)
            data += part
    finally:
        os.close(descriptor)
    return data
