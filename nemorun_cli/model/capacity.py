"""What a machine has for tasks, and what waits for it: plain values."""

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
    """What tasks of an executor may use of this machine; None is no limit, or what nobody can tell.

    `gpus` are as `CUDA_VISIBLE_DEVICES` takes them, `marks` what each is known by among all
    experiments, in the same order; `origin` says where the GPUs are known from.
    """

    cpus: float | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    origin: str = ""

    def why_unsatisfiable(self, wanted: Resources) -> str | None:
        """Why so much can never be had here, or None."""
        told = []
        if self.cpus is not None and (wanted.cpus or 0) > self.cpus + SLACK:
            told.append(f"{cpus_text(self.cpus)}, not {wanted.cpus:g}")
        if self.memory is not None and (wanted.memory or 0) > self.memory:
            told.append(f"{size_text(self.memory)} of memory, not {size_text(wanted.memory or 0)}")
        if (wanted.gpus or 0) > len(self.gpus):
            told.append(f"{gpus_text(len(self.gpus))}, not {wanted.gpus} ({self.origin})")
        return f"this machine has {'; '.join(told)}" if told else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRequest:
    """Something that waits for a machine to have enough free; `task` is who for."""

    task: str
    machine: Machine
    wanted: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a task may start with: its GPUs as `CUDA_VISIBLE_DEVICES` takes them, and their marks."""

    wanted: Resources
    gpus: tuple[str, ...]
    marks: tuple[str, ...]


@dataclass(slots=True)
class Capacity:
    """What of a machine is in use at a moment, and who may have of the rest.

    The rule: for whoever waits longer, what is free of what it needs is set aside; others get what is left.
    So a large request gathers what becomes free, and is not overtaken for ever by small ones.

    Attributes:
        machines: what executors may use, by their names; tasks of others need nothing from here.
        cpus: CPUs in use or set aside; `memory` bytes; `gpus` the marks of GPUs.
        later_requests: requests of others that have waited less; they come after this experiment's first one.
        granted: who may start, and with what.
        impossible: who may start only to be told that it can never run, and why.
        refused: the first that has to wait.
        is_closed: what is in use is not known now, and nobody may start.
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
        """Whether these tasks can start now, all of them; if not, what they need is set aside."""
        asking = [task for task in tasks if task.resources and task.executor in self.machines]
        if not asking or self.is_closed:
            return not asking
        wishes = self._wishes(asking)
        if told := next(
            (text for one in wishes if (text := one.machine.why_unsatisfiable(one.wanted))), None
        ):
            self.impossible |= {task.id: told for task in asking}
            return True
        before = self.cpus, self.memory, set(self.gpus)
        chosen: dict[str, Grant] = {}
        for task in asking:
            machine = self.machines[task.executor]
            if not self._fits(task.resources, machine):
                self.cpus, self.memory, self.gpus = before
                return self._refuse(wishes)
            chosen[task.id] = self._use(task.resources, machine)
        self.granted |= chosen
        for other in self.later_requests:
            self.set_aside(other)
        self.later_requests = []
        return True

    def _refuse(self, wishes: Sequence[PendingRequest]) -> bool:
        self.refused = self.refused or wishes[0]
        for one in wishes:
            self.set_aside(one)
        return False

    def _wishes(self, tasks: Sequence[Task]) -> list[PendingRequest]:
        """What the tasks need in all, by the machine as their executors see it."""
        by_executor: dict[str, list[Task]] = {}
        for task in tasks:
            by_executor.setdefault(task.executor, []).append(task)
        return [
            PendingRequest(
                task=several[0].id,
                machine=self.machines[name],
                wanted=Resources.total(task.resources for task in several),
            )
            for name, several in by_executor.items()
        ]

    def _fits(self, wanted: Resources, machine: Machine) -> bool:
        has_cpus = not wanted.cpus or machine.cpus is None or self.cpus + wanted.cpus <= machine.cpus + SLACK
        has_memory = (
            not wanted.memory or machine.memory is None or self.memory + wanted.memory <= machine.memory
        )
        return has_cpus and has_memory and (wanted.gpus or 0) <= len(self._free_gpus(machine))

    def _free_gpus(self, machine: Machine) -> list[tuple[str, str]]:
        both = zip(machine.gpus, machine.marks, strict=True)
        return [(name, mark) for name, mark in both if mark not in self.gpus]

    def _use(self, wanted: Resources, machine: Machine) -> Grant:
        chosen = self._free_gpus(machine)[: wanted.gpus or 0]
        grant = Grant(
            wanted=wanted, gpus=tuple(name for name, _ in chosen), marks=tuple(mark for _, mark in chosen)
        )
        self.add(wanted, grant.marks)
        return grant

    def add(self, wanted: Resources, marks: Iterable[str]) -> None:
        """Count what somebody uses; `marks` are those of its GPUs."""
        self.cpus += wanted.cpus or 0
        self.memory += wanted.memory or 0
        self.gpus.update(marks)

    def set_aside(self, wish: PendingRequest) -> None:
        """Let nobody else have what is free of what a wish needs."""
        machine, wanted = wish.machine, wish.wanted
        if machine.cpus is not None:
            self.cpus += min(wanted.cpus or 0, max(0.0, machine.cpus - self.cpus))
        if machine.memory is not None:
            self.memory += min(wanted.memory or 0, max(0, machine.memory - self.memory))
        self.gpus.update(mark for _, mark in self._free_gpus(machine)[: wanted.gpus or 0])
