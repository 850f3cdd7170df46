"""Decides which tasks start now: within the limits of `run` and the local capacity shared by experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.model.clock import steady
from nemorun_cli.scheduler.parallel_limit import ParallelLimit
from nemorun_cli.scheduler.trial_fields import asks_for_gpus
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks
from nemorun_cli.system.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.model.capacity import Capacity, Machine
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.supervisor.dispatch import Dispatcher
    from nemorun_cli.system.slots import Allocation


@dataclass(frozen=True, slots=True)
class AdmittedTasks:
    """The tasks that start now, and the impossible ones with reasons."""

    tasks: list[str]
    impossible: dict[str, str] = field(default_factory=dict)


class Admission:
    """Admits the tasks of one experiment as far as slots are free."""

    def __init__(self, schedule: Schedule, dispatcher: Dispatcher, *, home: Path, experiment: str) -> None:
        self._schedule, self._dispatcher = schedule, dispatcher
        self._home = Home(home)
        self._limit = ParallelLimit.of(schedule.spec)
        self._machines: dict[str, Machine] = {}  # by executor, if its tasks request local resources
        self._slots = Slots(self._home.slots(locks.hostname()), experiment)

    def begin(self) -> None:
        """Ask the executors which local resources their tasks use."""
        spec = self._schedule.spec
        requesting = [task for task in spec.possible_tasks if task.resources or task.searched]
        for name in {task.executor for task in requesting}:
            with_gpus = any(asks_for_gpus(task) for task in requesting if task.executor == name)
            if machine := self._dispatcher.machine(name, with_gpus=with_gpus):
                self._machines[name] = machine

    def take(self, gathered: Iterable[Job] = ()) -> AdmittedTasks:
        """The ready tasks that start now; `gathered` are attempts that no executor has yet."""
        waiting = sum(self._limit.counts[self._schedule.tasks[job.task].executor] for job in gathered)
        if not (self._machines and self._schedule.asks_for_resources):
            return AdmittedTasks(self._take_ready(None, waiting))
        with self._slots.turn(self._machines) as capacity:
            ready = self._take_ready(capacity, waiting)
        return AdmittedTasks([name for name in ready if name not in capacity.impossible], capacity.impossible)

    def _take_ready(self, capacity: Capacity | None, waiting: int) -> list[str]:
        limit = self._limit
        used = waiting + self._dispatcher.count(of=(name for name, counts in limit.counts.items() if counts))
        return self._schedule.take_ready(
            steady(),
            max(0, limit.most - used),
            needs_slot=limit.counts,
            most=limit.most,
            machine=capacity,
            allowances=self._dispatcher.shortages.allowances(),
        )

    def allocation(self, task: str) -> Allocation | None:
        """The local resources allocated to a task, if it requests any."""
        return self._slots.allocation(task)

    @property
    def due(self) -> float | None:
        """The monotonic time at which to check again whether other experiments have released capacity."""
        return self._slots.due

    def release(self, task: str) -> None:
        """Release the local resources of a task and wake the experiments that wait for them."""
        if not (self._machines and self._schedule.tasks[task].resources):
            return
        for experiment in self._slots.release(task):
            from nemorun_cli.storage.requests import wake  # noqa: PLC0415 - only if an experiment waits

            for files in self._home.readable([experiment]):
                wake(files)

    def keep(self) -> None:
        """Keep the local resources of running tasks recorded, whatever other programs do to the files."""
        self._slots.keep()

    def close(self) -> None:
        """Close the slots; running tasks keep theirs."""
        self._slots.close()
