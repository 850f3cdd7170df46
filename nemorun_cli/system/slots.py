"""Local capacity, shared by all experiments under one home: the tasks that use it and those that wait for it.

Each running task that requests resources has a file, locked through a descriptor that it inherited: the
kernel releases its slots with its last process. Each experiment that waits has one file for its first waiting
task, locked by its supervisor. All files are changed under a single lock; reading takes no lock. On a file
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
from nemorun_cli.system.backoff import Backoff
from nemorun_cli.system.files import make_folder, read_bytes
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE: Final = 1.0  # seconds that a turn waits for the lock, which is held for less than a millisecond
FIRST_PAUSE: Final = 0.1  # seconds until a waiting experiment checks again the first time
LONGEST_PAUSE: Final = 1.0  # seconds; the longest pause between checks
GROWTH: Final = 1.5  # factor by which the pause grows

KEEP_EVERY: Final = 1.0  # seconds between checks of the files of running tasks

LARGEST: Final = 1 << 16  # bytes that are read of a file
LOWEST: Final = 10  # lowest descriptor of an allocation, to stay clear of descriptors that a task may use

_LOCK: Final = "lock"
_USED: Final = ".used"
_WAITING: Final = ".waiting"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The slots of one attempt that will start; they stay taken while a process holds the descriptor.

    `gpus` are ids as `CUDA_VISIBLE_DEVICES` takes them.
    """

    path: Path
    descriptor: int
    gpus: tuple[str, ...]

    def keep_until(self, record: Path) -> None:
        """Keep the slots taken until this file exists, for a task that cannot inherit a descriptor."""
        values = _values(self.path)
        _write(self.descriptor, {**values, "until": str(record), "boot": locks.boot_id()})


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUse:
    """The local capacity that one task uses; `gpus` are marks, as in `Machine`."""

    experiment: str
    task: str
    wanted: Resources
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The first task of an experiment that waits for slots; a lower `number` has waited longer."""

    experiment: str
    number: int
    request: PendingRequest


class Slots:
    """One experiment's share of the local capacity."""

    def __init__(self, folder: Path, experiment: str) -> None:
        self._folder = folder
        self._experiment = experiment
        self._allocations: dict[str, Allocation] = {}
        self._waiting: int | None = None  # the descriptor of the file of the pending request
        self._number = 0
        self._next_file = 1
        self._next_keep = 0.0  # monotonic
        self._pauses = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE, growth=GROWTH)
        self.due: float | None = None  # the monotonic time of the next check, while a task waits

    @contextlib.contextmanager
    def turn(self, machines: Mapping[str, Machine]) -> Iterator[Capacity]:
        """The current capacity; what the block takes of it is allocated when the block ends."""
        make_folder(self._folder)
        lock = locks.take(self._folder / _LOCK, patience=PATIENCE)
        if lock is None:
            self._schedule_check()
            yield Capacity(machines, is_closed=True)
            return
        try:
            self._restore()
            capacity = self._capacity(machines)
            yield capacity
            self._allocate(capacity)
            self._write_request(capacity)
        finally:
            os.close(lock)

    def keep(self) -> None:
        """Record the slots of running tasks again if another program removed their files; once a second."""
        now = time.monotonic()
        if not self._allocations or now < self._next_keep:
            return
        self._next_keep = now + KEEP_EVERY
        if all(locks.is_at(each.path, each.descriptor) for each in self._allocations.values()):
            return
        make_folder(self._folder)
        if (lock := locks.take(self._folder / _LOCK, patience=PATIENCE)) is not None:
            try:
                self._restore()
            finally:
                os.close(lock)

    def allocation(self, task: str) -> Allocation | None:
        """The slots that were allocated to a task, if it requested any."""
        return self._allocations.get(task)

    def release(self, task: str) -> list[str]:
        """Release the slots of a finished task; return the other experiments that wait for slots."""
        if allocation := self._allocations.pop(task, None):
            os.close(allocation.descriptor)
        for path, values in _entries(self._folder, _USED):
            is_own = (values.get("experiment"), values.get("task")) == (self._experiment, task)
            if is_own and not locks.is_held(path):
                path.unlink(missing_ok=True)
        experiments = [entry.experiment for entry in waiting(self._folder)]
        return [experiment for experiment in experiments if experiment != self._experiment]

    def close(self) -> None:
        """Close all files; the slots of running tasks stay taken."""
        for allocation in self._allocations.values():
            os.close(allocation.descriptor)
        self._allocations.clear()
        self._stop_waiting()

    def _restore(self) -> None:
        """Create the files that were removed again, under the folder's lock.

        Only this process holds the new locks: a task keeps its slots no longer than its supervisor lives.
        """
        for task, allocation in self._allocations.items():
            if locks.is_at(allocation.path, allocation.descriptor):
                continue
            values = os.pread(allocation.descriptor, os.fstat(allocation.descriptor).st_size, 0)
            with contextlib.suppress(OSError, ValueError):
                path, descriptor = self._new_file(json.loads(values))
                os.close(allocation.descriptor)
                self._allocations[task] = Allocation(path, descriptor, allocation.gpus)
        if self._waiting is not None and not locks.is_at(self._waiting_file, self._waiting):
            os.close(self._waiting)
            self._waiting = locks.take(self._waiting_file)

    @property
    def _waiting_file(self) -> Path:
        return self._folder / f"{self._experiment}{_WAITING}"

    def _capacity(self, machines: Mapping[str, Machine]) -> Capacity:
        capacity = Capacity(machines)
        for path, values in _entries(self._folder, _USED):
            if _is_taken(path, values):
                use = _use(values)
                capacity.add(use.wanted, use.gpus)
            else:
                path.unlink(missing_ok=True)
        for entry in self._queue():
            if entry.experiment == self._experiment:
                continue
            if self._waiting is None or entry.number < self._number:
                capacity.reserve(entry.request)
            else:
                capacity.later_requests.append(entry.request)
        return capacity

    def _queue(self) -> list[Waiting]:
        """The waiting experiments; files of killed supervisors are removed first."""
        for path, _ in _entries(self._folder, _WAITING):
            if not locks.is_held(path):
                path.unlink(missing_ok=True)
        return waiting(self._folder)

    def _allocate(self, capacity: Capacity) -> None:
        """Allocate what was granted; a task whose file cannot be written, as on a full disk, cannot start."""
        for task, grant in capacity.granted.items():
            values = {
                "experiment": self._experiment,
                "task": task,
                "wanted": grant.wanted.to_json(),
                "marks": grant.marks,
            }
            try:
                self._allocations[task] = Allocation(*self._new_file(values), grant.gpus)
            except OSError as error:
                capacity.impossible[task] = (
                    f"its slots cannot be recorded in {self._folder}: {error.strerror}"
                )

    def _new_file(self, values: Mapping[str, Any]) -> tuple[Path, int]:
        """Create the file of an allocation; return its path and the descriptor that locks it."""
        while (path := self._folder / f"{self._experiment}.{self._next_file}{_USED}").exists():
            self._next_file += 1
        self._next_file += 1
        descriptor = locks.take(path)
        if descriptor is None:  # not expected: only the holder of the folder's lock creates files
            raise BlockingIOError(0, "another process holds the lock of a new file")
        try:
            _write(descriptor, values)
            return path, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOWEST)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _write_request(self, capacity: Capacity) -> None:
        """Write the refused request to this experiment's file, or remove the file if none was refused."""
        request = capacity.refused
        if request is None:
            self._stop_waiting()
            return
        if self._waiting is None:
            with contextlib.suppress(OSError):  # a full disk, as below
                self._waiting = locks.take(self._waiting_file)
            self._number = time.monotonic_ns()
        elif capacity.granted:
            self._number = time.monotonic_ns()  # it had its turn: all waiting experiments now come first
        if self._waiting is not None:
            values = {
                "experiment": self._experiment,
                "task": request.task,
                "number": self._number,
                "wanted": request.wanted.to_json(),
                "machine": asdict(request.machine),
            }
            with contextlib.suppress(OSError):  # a full disk: the request waits, unknown to other experiments
                _write(self._waiting, values)
        self._schedule_check()

    def _stop_waiting(self) -> None:
        self.due = None
        self._pauses.reset()
        if self._waiting is not None:
            self._waiting_file.unlink(missing_ok=True)
            os.close(self._waiting)
            self._waiting = None

    def _schedule_check(self) -> None:
        self.due = self._pauses.due()


def used(folder: Path) -> list[SlotUse]:
    """The local capacity that running tasks use, sorted by experiment and task."""
    uses = [_use(values) for path, values in _entries(folder, _USED) if _is_taken(path, values)]
    return sorted(uses, key=lambda use: (use.experiment, use.task))


def waiting(folder: Path) -> list[Waiting]:
    """The experiments that wait for local capacity, longest-waiting first."""
    queue = [_waiting(values) for path, values in _entries(folder, _WAITING) if locks.is_held(path)]
    return sorted(queue, key=lambda entry: entry.number)


def _entries(folder: Path, suffix: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The files with this suffix, each with its values."""
    try:
        paths = [Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(suffix)]
    except FileNotFoundError:
        return
    for path in paths:
        yield path, _values(path)


def _values(path: Path) -> Mapping[str, Any]:
    """The values in a file; empty if it is being written, no longer exists or cannot be read."""
    try:
        values = json.loads(read_bytes(path, limit=LARGEST, follows_link=False))
    except OSError as error:
        if is_shortage(error):
            raise
        return {}
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_taken(path: Path, values: Mapping[str, Any]) -> bool:
    """Whether the slots are in use: the file is locked, or the file that `until` names does not exist yet."""
    if locks.is_held(path):
        return True
    record = values.get("until")
    if not isinstance(record, str) or values.get("boot") != locks.boot_id():
        return False
    return Path(record).parent.is_dir() and not Path(record).exists()


def _write(descriptor: int, values: Mapping[str, Any]) -> None:
    """Replace the values in a file: write once, then truncate, so that readers never find it empty."""
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
    request = PendingRequest(
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
        experiment=str(values.get("experiment", "")), number=int(values.get("number", 0)), request=request
    )
