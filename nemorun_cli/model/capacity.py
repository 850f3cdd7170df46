"""The capacity of a machine, and the pending requests for it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.model.resources import SLACK, Resources, cpus_text, gpus_text
from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.spec import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The part of this machine that an executor's tasks may use; None means no limit, or unknown.

    `gpus` are ids as `CUDA_VISIBLE_DEVICES` takes them. `marks` are the ids that all experiments use for the
    same GPUs, in the same order. `origin` names the source of the list of GPUs.
    """

    cpus: float | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    origin: str = ""

    def why_unsatisfiable(self, wanted: Resources) -> str | None:
        """Why this machine can never satisfy the request, or None if it can."""
        shortages = []
        if self.cpus is not None and (wanted.cpus or 0) > self.cpus + SLACK:
            shortages.append(f"{cpus_text(self.cpus)}, not {wanted.cpus:g}")
        if self.memory is not None and (wanted.memory or 0) > self.memory:
            shortages.append(f"{size_text(self.memory)} of memory, not {size_text(wanted.memory or 0)}")
        if (wanted.gpus or 0) > len(self.gpus):
            shortages.append(f"{gpus_text(len(self.gpus))}, not {wanted.gpus} ({self.origin})")
        return f"this machine has {'; '.join(shortages)}" if shortages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRequest:
    """A request that waits for free capacity of a machine; `task` is the task that made it."""

    task: str
    machine: Machine
    wanted: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The resources that a task may start with; `gpus` and `marks` are as in `Machine`."""

    wanted: Resources
    gpus: tuple[str, ...]
    marks: tuple[str, ...]


@dataclass(slots=True)
class Capacity:
    """The part of a machine that is in use or reserved, and the allocation of the rest.

    The rule: the free part of what a request needs is reserved for it, oldest request first; younger requests
    get the remainder. So a large request collects capacity as it becomes free, and is not starved by others.

    Attributes:
        machines: the machine as each executor may use it, by executor name; tasks of other executors need no
            local capacity.
        cpus: CPUs in use or reserved; `memory` the same in bytes; `gpus` the same as marks of GPUs.
        later_requests: requests of other experiments that are younger than this experiment's first one.
        granted: the tasks that may start, each with its resources.
        impossible: the tasks that can never run on this machine, each with the reason.
        refused: the first request that has to wait.
        is_closed: whether the use of the machine is unknown now, so that no task may start.
    """

    machines: Mapping[str, Machine]
    cpus: float = 0.0
    memory: int = 0
    gpus: set[str] = field(default_factory=set)
    later_requests: list[PendingRequest] = field(default_factory=list)
    granted: dict[str, Grant] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)
    refused: PendingRequest | None = None
    is_closed: bool = False

    def take(self, tasks: Sequence[Task]) -> bool:
        """Whether all of these tasks may leave the queue now; if they do not fit, reserve what they need.

        Returns True also for tasks that can never run here: they are added to `impossible`.
        """
        requesting = [task for task in tasks if task.resources and task.executor in self.machines]
        if not requesting or self.is_closed:
            return not requesting
        requests = self._requests(requesting)
        reasons = (request.machine.why_unsatisfiable(request.wanted) for request in requests)
        if reason := next(filter(None, reasons), None):
            self.impossible |= {task.id: reason for task in requesting}
            return True
        before = self.cpus, self.memory, set(self.gpus)
        granted: dict[str, Grant] = {}
        for task in requesting:
            machine = self.machines[task.executor]
            if not self._fits(task.resources, machine):
                self.cpus, self.memory, self.gpus = before
                return self._refuse(requests)
            granted[task.id] = self._use(task.resources, machine)
        self.granted |= granted
        for request in self.later_requests:
            self.reserve(request)
        self.later_requests = []
        return True

    def _refuse(self, requests: Sequence[PendingRequest]) -> bool:
        self.refused = self.refused or requests[0]
        for request in requests:
            self.reserve(request)
        return False

    def _requests(self, tasks: Sequence[Task]) -> list[PendingRequest]:
        """One request per executor, for all of its tasks together."""
        by_executor: dict[str, list[Task]] = {}
        for task in tasks:
            by_executor.setdefault(task.executor, []).append(task)
        return [
            PendingRequest(
                task=members[0].id,
                machine=self.machines[name],
                wanted=Resources.total(task.resources for task in members),
            )
            for name, members in by_executor.items()
        ]

    def _fits(self, wanted: Resources, machine: Machine) -> bool:
        has_cpus = not wanted.cpus or machine.cpus is None or self.cpus + wanted.cpus <= machine.cpus + SLACK
        has_memory = (
            not wanted.memory or machine.memory is None or self.memory + wanted.memory <= machine.memory
        )
        return has_cpus and has_memory and (wanted.gpus or 0) <= len(self._free_gpus(machine))

    def _free_gpus(self, machine: Machine) -> list[tuple[str, str]]:
        gpus = zip(machine.gpus, machine.marks, strict=True)
        return [(name, mark) for name, mark in gpus if mark not in self.gpus]

    def _use(self, wanted: Resources, machine: Machine) -> Grant:
        free = self._free_gpus(machine)[: wanted.gpus or 0]
        grant = Grant(
            wanted=wanted, gpus=tuple(name for name, _ in free), marks=tuple(mark for _, mark in free)
        )
        self.add(wanted, grant.marks)
        return grant

    def add(self, wanted: Resources, marks: Iterable[str]) -> None:
        """Count resources as used; `marks` are those of the GPUs."""
        self.cpus += wanted.cpus or 0
        self.memory += wanted.memory or 0
        self.gpus.update(marks)

    def reserve(self, request: PendingRequest) -> None:
        """Reserve the free part of what a request needs."""
        machine, wanted = request.machine, request.wanted
        if machine.cpus is not None:
            self.cpus += min(wanted.cpus or 0, max(0.0, machine.cpus - self.cpus))
        if machine.memory is not None:
            self.memory += min(wanted.memory or 0, max(0, machine.memory - self.memory))
        self.gpus.update(mark for _, mark in self._free_gpus(machine)[: wanted.gpus or 0])
