"""Slots of this machine, shared by all experiments under one home: who uses how much of it, and who waits.

Each running task that asked for resources has a file, locked through a descriptor that it inherited: the
kernel frees its slots with its last process. Each experiment that waits has one file for the first task that
does, locked by its supervisor. They are changed under one lock only; reading them takes none. On a file
system that several hosts share, each host has a folder of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.capacity import Capacity, Machine, PendingRequest
from nemorun_cli.model.resources import Resources
from nemorun_cli.system import locks
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE: Final = 1.0  # seconds that a turn waits for the lock, which is held for less than milliseconds
FIRST_PAUSE: Final = 0.1  # seconds until what waits looks again
LONGEST_PAUSE: Final = 1.0  # the same, after it looked often
GROWTH: Final = 1.5  # by which the pause grows

LOWEST: Final = 10  # descriptor of an allocation, so that none is in the way where a task expects its own

_LOCK: Final = "lock"
_USED: Final = ".used"
_WAITING: Final = ".waiting"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The slots of one attempt that is to start; whoever inherits the descriptor keeps them taken.

    `gpus` are as `CUDA_VISIBLE_DEVICES` takes them.
    """

    path: Path
    descriptor: int
    gpus: tuple[str, ...]

    def keep_until(self, record: Path) -> None:
        """Keep the slots taken until this file is there, for what cannot inherit a descriptor."""
        values = _values(self.path)
        _write(self.descriptor, {**values, "until": str(record), "boot": locks.boot_id()})


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUse:
    """What one task has of this machine; `gpus` are their marks."""

    experiment: str
    task: str
    wanted: Resources
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The first task of an experiment that waits for slots; `number` tells who waits longer."""

    experiment: str
    number: int
    wish: PendingRequest


class Slots:
    """One experiment's part in the slots of this machine."""

    def __init__(self, folder: Path, experiment: str) -> None:
        self._folder = folder
        self._experiment = experiment
        self._allocations: dict[str, Allocation] = {}
        self._waiting: int | None = None  # the descriptor of the file that says what is waited for
        self._number = 0
        self._made = 1
        self._pause = FIRST_PAUSE
        self.due: float | None = None  # the monotonic time to look again, while something waits

    @contextlib.contextmanager
    def turn(self, machines: Mapping[str, Machine]) -> Iterator[Capacity]:
        """What is free now; what is taken of it is allocated at the end."""
        make_folder(self._folder)
        lock = locks.take(self._folder / _LOCK, patience=PATIENCE)
        if lock is None:
            self._look_again()
            yield Capacity(machines, is_closed=True)
            return
        try:
            room = self._room(machines)
            yield room
            self._allocate(room)
            self._wait(room)
        finally:
            os.close(lock)

    def allocation(self, task: str) -> Allocation | None:
        """The slots that were allocated to a task, if it asked for any."""
        return self._allocations.get(task)

    def release(self, task: str) -> list[str]:
        """Let go of a task's slots, for it is over; gives the experiments that wait for some."""
        if allocation := self._allocations.pop(task, None):
            os.close(allocation.descriptor)
        for path, values in _entries(self._folder, _USED):
            is_own = (values.get("experiment"), values.get("task")) == (self._experiment, task)
            if is_own and not locks.is_held(path):
                path.unlink(missing_ok=True)
        return [one.experiment for one in waiting(self._folder) if one.experiment != self._experiment]

    def close(self) -> None:
        """Let go of everything; the slots of what runs stay taken."""
        for allocation in self._allocations.values():
            os.close(allocation.descriptor)
        self._allocations.clear()
        self._stop_waiting()

    def _room(self, machines: Mapping[str, Machine]) -> Capacity:
        room = Capacity(machines)
        for path, values in _entries(self._folder, _USED):
            if _is_taken(path, values):
                use = _use(values)
                room.add(use.wanted, use.gpus)
            else:
                path.unlink(missing_ok=True)
        for one in self._queue():
            if one.experiment == self._experiment:
                continue
            if self._waiting is None or one.number < self._number:
                room.set_aside(one.wish)
            else:
                room.later_requests.append(one.wish)
        return room

    def _queue(self) -> list[Waiting]:
        """Who waits; what supervisors left that were killed is removed."""
        for path, _ in _entries(self._folder, _WAITING):
            if not locks.is_held(path):
                path.unlink(missing_ok=True)
        return waiting(self._folder)

    def _allocate(self, room: Capacity) -> None:
        """Take what was granted; what cannot be noted, on a full disk, cannot start either."""
        for task, grant in room.granted.items():
            values = {
                "experiment": self._experiment,
                "task": task,
                "wanted": grant.wanted.to_json(),
                "marks": grant.marks,
            }
            try:
                self._allocations[task] = Allocation(*self._new(values), grant.gpus)
            except OSError as error:
                room.impossible[task] = f"its slots cannot be noted in {self._folder}: {error.strerror}"

    def _new(self, values: Mapping[str, Any]) -> tuple[Path, int]:
        """A file that says who uses what, and the descriptor by which it is locked."""
        while (path := self._folder / f"{self._experiment}.{self._made}{_USED}").exists():
            self._made += 1
        self._made += 1
        descriptor = locks.take(path)
        if descriptor is None:  # nobody else makes files while this lock of ours is held
            raise BlockingIOError(0, "somebody holds the lock of a file that was just made")
        try:
            _write(descriptor, values)
            return path, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOWEST)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _wait(self, room: Capacity) -> None:
        """Say for what this experiment waits, or that it waits for nothing."""
        wish = room.refused
        if wish is None:
            self._stop_waiting()
            return
        if self._waiting is None:
            self._waiting = locks.take(self._folder / f"{self._experiment}{_WAITING}")
            self._number = time.monotonic_ns()
        elif room.granted:
            self._number = time.monotonic_ns()  # it had its turn, and comes after whoever waits by now
        if self._waiting is not None:
            values = {
                "experiment": self._experiment,
                "task": wish.task,
                "number": self._number,
                "wanted": wish.wanted.to_json(),
                "machine": asdict(wish.machine),
            }
            with contextlib.suppress(OSError):  # a full disk: it waits, and others do not know
                _write(self._waiting, values)
        self._look_again()

    def _stop_waiting(self) -> None:
        self.due, self._pause = None, FIRST_PAUSE
        if self._waiting is not None:
            (self._folder / f"{self._experiment}{_WAITING}").unlink(missing_ok=True)
            os.close(self._waiting)
            self._waiting = None

    def _look_again(self) -> None:
        self.due = time.monotonic() + self._pause
        self._pause = min(self._pause * GROWTH, LONGEST_PAUSE)


def used(folder: Path) -> list[SlotUse]:
    """What running tasks have of this machine, by experiment and task."""
    found = [_use(values) for path, values in _entries(folder, _USED) if _is_taken(path, values)]
    return sorted(found, key=lambda one: (one.experiment, one.task))


def waiting(folder: Path) -> list[Waiting]:
    """Who waits for slots of this machine, whoever waits longest first."""
    found = [_waiting(values) for path, values in _entries(folder, _WAITING) if locks.is_held(path)]
    return sorted(found, key=lambda one: one.number)


def _entries(folder: Path, ending: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The files of a kind, with what they say."""
    try:
        paths = [Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(ending)]
    except FileNotFoundError:
        return
    for path in paths:
        yield path, _values(path)


def _values(path: Path) -> Mapping[str, Any]:
    """What a file says; one that is being written, or is gone by now, says nothing."""
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_taken(path: Path, values: Mapping[str, Any]) -> bool:
    """Whether somebody lives who has these slots."""
    if locks.is_held(path):
        return True
    record = values.get("until")
    if not isinstance(record, str) or values.get("boot") != locks.boot_id():
        return False
    return Path(record).parent.is_dir() and not Path(record).exists()


def _write(descriptor: int, values: Mapping[str, Any]) -> None:
    """Say something else in a file; in one write, so that who reads a text that grows never finds none."""
    data = json.dumps(values).encode() + b"\n"
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def _use(values: Mapping[str, Any]) -> SlotUse:
    return SlotUse(
        experiment=str(values.get("experiment", "")),
        task=str(values.get("task", "")),
        wanted=Resources.from_json(values.get("wanted", {})),
        gpus=tuple(values.get("marks", ())),
    )


def _waiting(values: Mapping[str, Any]) -> Waiting:
    machine = values.get("machine", {})
    wish = PendingRequest(
        task=str(values.get("task", "")),
        machine=Machine(
            cpus=machine.get("cpus"),
            memory=machine.get("memory"),
            gpus=tuple(machine.get("gpus", ())),
            marks=tuple(machine.get("marks", ())),
        ),
        wanted=Resources.from_json(values.get("wanted", {})),
    )
    return Waiting(
        experiment=str(values.get("experiment", "")), number=int(values.get("number", 0)), wish=wish
    )
