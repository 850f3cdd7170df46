"""Who starts now, and with what: the limits of `run`, and the slots of this machine that others share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks
from nemorun_cli.system.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.model.capacity import Capacity, Machine
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.supervisor.dispatch import Dispatcher
    from nemorun_cli.system.slots import Allocation


@dataclass(frozen=True, slots=True)
class AdmittedTasks:
    """The tasks that start now; of those in doubt who has to wait; who can never start here, and why."""

    tasks: list[str]
    waiting: list[str] = field(default_factory=list)
    impossible: dict[str, str] = field(default_factory=dict)


class Admission:
    """Lets the tasks of one experiment start, as far as there are slots for them."""

    def __init__(self, schedule: Schedule, engines: Dispatcher, *, home: Path, experiment: str) -> None:
        self._schedule, self._engines = schedule, engines
        self._home = Home(home)
        self._needs_slot: dict[str, bool] = {}
        self._machines: dict[str, Machine] = {}  # by executor, where tasks ask for resources of this machine
        self._slots = Slots(self._home.slots(locks.hostname()), experiment)

    def begin(self) -> None:
        """Ask the executors what of this machine their tasks use."""
        spec = self._schedule.spec
        is_written = spec.run.max_parallel is not None
        for name in {task.executor for task in spec.tasks}:
            self._needs_slot[name] = is_written or self._engines.executor(name).counts_toward_max_parallel
        asking = [task for task in spec.tasks if task.resources]
        for name in {task.executor for task in asking}:
            with_gpus = any(task.resources.gpus for task in asking if task.executor == name)
            if machine := executors.machine(self._engines.executor(name), with_gpus=with_gpus):
                self._machines[name] = machine

    def take(self, unconfirmed: Sequence[str]) -> AdmittedTasks:
        """Who starts now: those whose submission is in doubt first, then those that are ready."""
        tasks = self._schedule.tasks
        asking = [name for name in unconfirmed if tasks[name].resources]
        if not (self._machines and (asking or self._schedule.asks_for_resources)):
            return AdmittedTasks([*unconfirmed, *self._take_ready(None)])
        with self._slots.turn(self._machines) as room:
            waiting = [name for name in asking if not room.take([tasks[name]])]
            found = [*(name for name in unconfirmed if name not in waiting), *self._take_ready(room)]
        return AdmittedTasks(
            [name for name in found if name not in room.impossible], waiting, room.impossible
        )

    def _take_ready(self, room: Capacity | None) -> list[str]:
        used = self._engines.count(of=(name for name, needs in self._needs_slot.items() if needs))
        most = self._schedule.spec.run.max_parallel or os.cpu_count() or 1
        return self._schedule.take_ready(
            time.time(), max(0, most - used), needs_slot=self._needs_slot, most=most, machine=room
        )

    def allocation(self, task: str) -> Allocation | None:
        """The slots of this machine that a task starts with."""
        return self._slots.allocation(task)

    @property
    def due(self) -> float | None:
        """The monotonic time at which to look again whether others have given back what is waited for."""
        return self._slots.due

    def release(self, task: str) -> None:
        """Give back what a task had of this machine, and wake who waits for it."""
        if not (self._machines and self._schedule.tasks[task].resources):
            return
        for experiment in self._slots.release(task):
            from nemorun_cli.storage.requests import wake  # noqa: PLC0415 - only where somebody waits

            if files := self._home.experiment(experiment):
                wake(files)

    def close(self) -> None:
        """Let go of everything; what runs keeps its slots."""
        self._slots.close()
