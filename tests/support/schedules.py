"""Schedules of small graphs, followed as a supervisor does, without running anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from nemorun_cli.model.capacity import Capacity, Grant, Machine
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.spec import Group, Retry, RunOptions, Spec, Task
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.scheduler.schedule import Readiness, Schedule
from nemorun_cli.storage import events
from nemorun_cli.storage.state import ExperimentState, TaskState

S, F, C, K = TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED


def task(name: str, index: int = 0, **fields: Any) -> Task:
    return Task(id=name, index=index, kind="inline", body=":", executor="local", workdir="/", **fields)


def schedule(*tasks: Task, groups: tuple[Group, ...] = (), **run: Any) -> Schedule:
    spec = Spec(name="a", folder="/", tasks=tasks, groups=groups, run=RunOptions(**run))
    return Schedule(spec, ExperimentState({one.id: TaskState() for one in tasks}, strict=True))


@dataclass
class Drive:
    """Follows a schedule the way a supervisor does, without running anything."""

    schedule: Schedule
    slots: int | None = None
    machine: Machine | None = None
    held: dict[str, Grant] = field(default_factory=dict)  # what running tasks have of the machine
    running: set[str] = field(default_factory=set)
    started: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Take up the history."""
        self.judge(self.schedule.begin())

    def judge(self, verdicts: list[Readiness]) -> None:
        """Let what may run wait for a slot, and skip what never can."""
        for verdict in verdicts:
            if self.status(verdict.task) is not TaskStatus.PENDING:
                continue
            if verdict.may_run:
                self.schedule.add_ready(verdict.task)
            else:
                self.note(events.SKIPPED, verdict.task, reason="dependency")
                self.judge(self.schedule.over(verdict.task))

    def start(self, now: float = 0.0) -> list[str]:
        """Start what can start now."""
        free = None if self.slots is None else self.slots - len(self.running)
        room = Capacity({"local": self.machine}) if self.machine else None
        for grant in self.held.values() if room else ():
            room.add(grant.wanted, grant.marks)
        taken = self.schedule.take_ready(now, free, needs_slot={"local": True}, most=self.slots, machine=room)
        self.held |= room.granted if room else {}
        for name in taken:
            self.note(events.SUBMITTED, name)
            self.running.add(name)
        self.started += taken
        return taken

    def end(self, name: str, status: TaskStatus) -> None:
        """Let a task end, or be retried."""
        reason = None if status is S else "exit"
        self.note(events.ENDED, name, status=status, reason=reason)
        self.running.discard(name)
        self.held.pop(name, None)
        if self.schedule.retry_is_due(name):
            self.note(events.RETRIED, name, attempt=self.schedule.history.tasks[name].attempt + 1)
            self.schedule.add_ready(name)
        else:
            self.judge(self.schedule.over(name))

    def note(self, kind: str, name: str, **fields: Any) -> None:
        """Put an event into the history."""
        attempt = self.schedule.history.tasks[name].attempt
        event = {"event": kind, "time": stamp(), "by": "a test", "task": name, "attempt": attempt, **fields}
        self.schedule.history.apply(event)

    def status(self, name: str) -> TaskStatus:
        """Where a task stands."""
        return self.schedule.history.tasks[name].status


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    """Tasks that depend on earlier ones, of all dependency types."""
    tasks = []
    for index in range(draw(st.integers(1, 8))):
        parents = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        tasks.append(
            task(
                f"t{index}",
                index,
                dependencies=tuple(f"t{parent}" for parent in sorted(parents)),
                dependency_type=draw(st.sampled_from(["afterok", "afterany", "afternotok"])),
                allow_failure=draw(st.booleans()),
                retry=Retry(limit=draw(st.integers(0, 2))),
            )
        )
    return tasks
