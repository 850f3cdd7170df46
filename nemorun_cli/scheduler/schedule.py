"""Who may run now: the graph of an experiment, followed step by step as its tasks end. No effects."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from nemorun_cli.model import handlers
from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import RETRIED_AS, ExperimentStatus, Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.capacity import Capacity
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Group, Handler, Retry, Spec, Task
    from nemorun_cli.storage.state import ExperimentState, TaskState

ANY: Final = "any"
LONGEST_DELAY: Final = 365 * 86_400.0  # seconds; beyond it backoff gives more than a clock can tell


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a task's parents make of it, or of a handler the outcome: it may run, or it never can, and why."""

    task: str
    may_run: bool
    message: str | None = None
    reason: Reason = Reason.DEPENDENCY


Lane: TypeAlias = "tuple[str, str, Resources]"
"""What can hold ready tasks back together: a group with `max_parallel` (or ""), an executor, a request."""


@dataclass(slots=True, kw_only=True)
class _Turn:
    """What is left while it is decided who starts; `room` is by group with max_parallel."""

    slots: int | None
    needs_slot: Mapping[str, bool]
    most: int | None
    machine: Capacity | None
    room: dict[str, int]
    refused: set[str] = field(default_factory=set)  # for whom the machine has no room
    taken: list[str] = field(default_factory=list)

    def is_closed(self, ready_queue: Lane) -> bool:
        """Whether nothing of a ready_queue can start."""
        return (self.slots == 0 and self.needs_slot[ready_queue[1]]) or self.room.get(ready_queue[0]) == 0


@dataclass(slots=True)
class Schedule:
    """The tasks that wait, kept so that each end costs only what depends on it."""

    spec: Spec
    history: ExperimentState
    tasks: dict[str, Task] = field(init=False)
    groups: dict[str, Group] = field(init=False)
    failures: int = 0
    _children: defaultdict[str, list[str]] = field(init=False)
    _waiting: dict[str, int] = field(init=False)
    _left: int = field(init=False)  # tasks, without handlers, that are not over for good
    _counted: set[str] = field(default_factory=set)
    _ready: dict[Lane, list[tuple[int, str]]] = field(default_factory=dict)
    _queued: set[str] = field(
        default_factory=set
    )  # who is in a ready_queue, and was not taken out of its turn
    _running: dict[str, set[str]] = field(default_factory=dict)  # by group with max_parallel
    _failed: Counter[str] = field(default_factory=Counter)  # by group
    _spent: list[str] = field(default_factory=list)  # groups whose max_failures was reached, not yet told
    _delayed: list[tuple[float, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = {task.id: task for task in self.spec.tasks}
        self.groups = {group.id: group for group in self.spec.groups}
        self._children = defaultdict(list)
        self._waiting = {}
        self._left = len(self.spec.tasks) - len(self.history.handlers)
        for task in self.spec.tasks:
            self._waiting[task.id] = len(task.dependencies)
            for parent in task.dependencies:
                self._children[parent].append(task.id)

    def begin(self) -> list[Readiness]:
        """Take up the history as it is; gives what follows from it for the tasks that wait."""
        verdicts = []
        for task in self.spec.tasks:
            state = self.history.tasks[task.id]
            if state.is_over and not self.retry_is_due(task.id):
                verdicts += self.over(task.id)
            elif state.status is TaskStatus.PENDING and state.not_before:
                heapq.heappush(self._delayed, (unix(state.not_before), task.index, task.id))
            elif state.status is TaskStatus.PENDING and not task.dependencies:
                if task.handler is None:
                    verdicts.append(Readiness(task.id, may_run=True))
            elif state.is_live and (group := self._lane(task)[0]):
                self._running.setdefault(group, set()).add(task.id)
        verdicts += self.concluded()
        # Tasks that were decided before a crash, or are delayed after a first attempt, are not decided again.
        delayed = {name for _, _, name in self._delayed}
        states = self.history.tasks
        return [
            verdict
            for verdict in verdicts
            if (states[verdict.task].status is TaskStatus.PENDING and verdict.task not in delayed)
            or states[verdict.task].is_queued_early
        ]

    def over(self, task_id: str) -> list[Readiness]:
        """Count an end that is final; gives the children that it decides."""
        if task_id in self._counted:
            return []
        self._counted.add(task_id)
        state, task = self.history.tasks[task_id], self.tasks[task_id]
        if task.handler is None:
            self._left -= 1
            if state.status is TaskStatus.FAILED and not task.allow_failure:
                self.failures += 1
                self._count_failure(self.groups.get(task.group or ""))
        verdicts = []
        for child in self._children[task_id]:
            self._waiting[child] -= 1
            if verdict := self._weigh(self.tasks[child], [task_id], waits=bool(self._waiting[child])):
                verdicts.append(verdict)
        return verdicts

    @property
    def tasks_are_over(self) -> bool:
        """Whether all tasks but handlers are over for good."""
        return not self._left

    def concluded(self) -> list[Readiness]:
        """What the outcome, once it is known, makes of the handlers that wait for nothing else."""
        verdicts = (self._judge_handler(task, task.handler) for task in self.spec.tasks if task.handler)
        return [verdict for verdict in verdicts if verdict]

    def verdict(self, task_id: str) -> Readiness | None:
        """What the parents that are over make of a task, as far as they decide."""
        task, states = self.tasks[task_id], self.history.tasks
        over = [name for name in task.dependencies if states[name].is_over and not self.retry_is_due(name)]
        return self._weigh(task, over, waits=len(over) < len(task.dependencies))

    def _count_failure(self, group: Group | None) -> None:
        if group is None or group.max_failures is None:
            return
        self._failed[group.id] += 1
        if self._failed[group.id] == group.max_failures:
            self._spent.append(group.id)

    def take_spent(self) -> list[Group]:
        """The groups in which by now so many members failed that no other one may start; each once."""
        spent, self._spent = self._spent, []
        return [self.groups[name] for name in spent]

    def _weigh(self, child: Task, over: Iterable[str], *, waits: bool) -> Readiness | None:
        state = self.history.tasks[child.id]
        if state.status is not TaskStatus.PENDING and not state.is_queued_early:
            return None
        if child.handler is not None:
            return self._judge_handler(child, child.handler)
        for name in over if child.dependency_type == "afterok" else ():
            parent = self.history.tasks[name]
            if not self._is_ok(name, parent):
                return Readiness(child.id, may_run=False, message=f"{name} is {parent.status}")
        if waits:
            return None
        if child.dependency_type == "afternotok" and not any(
            self.history.tasks[name].status in (TaskStatus.FAILED, TaskStatus.CANCELLED)
            for name in child.dependencies
        ):
            return Readiness(child.id, may_run=False, message="nothing that it waited for failed")
        return Readiness(child.id, may_run=True)

    def _judge_handler(self, task: Task, section: Handler) -> Readiness | None:
        outcome = self.history.outcome
        if outcome is None or self.history.tasks[task.id].status is not TaskStatus.PENDING:
            return None
        if why := handlers.mismatch(section, outcome):
            return Readiness(task.id, may_run=False, message=why, reason=Reason.OUTCOME)
        return None if self._waiting[task.id] else Readiness(task.id, may_run=True)

    def _is_ok(self, task_id: str, state: TaskState) -> bool:
        if state.status is TaskStatus.FAILED:
            return self.tasks[task_id].allow_failure
        return state.status is TaskStatus.SUCCEEDED

    def add_ready(self, task_id: str, *, not_before: float | None = None) -> None:
        """Let a task wait for a slot, or until a time (Unix seconds)."""
        task = self.tasks[task_id]
        if not_before is None:
            heapq.heappush(self._ready.setdefault(self._lane(task), []), (task.index, task_id))
            self._queued.add(task_id)
        else:
            heapq.heappush(self._delayed, (not_before, task.index, task_id))

    def _lane(self, task: Task) -> Lane:
        group = self.groups.get(task.group or "")
        return (group.id if group is not None and group.max_parallel else "", task.executor, task.resources)

    @property
    def asks_for_resources(self) -> bool:
        """Whether any task that asks for resources is ready, or may be by now."""
        return any(queue and ready_queue[2] for ready_queue, queue in self._ready.items()) or any(
            self.tasks[name].resources for _, _, name in self._delayed
        )

    def take_ready(
        self,
        now: float,
        slots: int | None,
        *,
        needs_slot: Mapping[str, bool],
        most: int | None = None,
        machine: Capacity | None = None,
    ) -> list[str]:
        """The tasks that start now, in the order of the file; `slots` None is without a limit.

        Those that ask for resources start as far as there is room for them on the `machine`, if one is given.
        A group that is `together` starts when all its members can, or not at all. One that needs more
        than the `most` slots there ever are starts when it has all of them for itself.
        """
        while self._delayed and self._delayed[0][0] <= now:
            self.add_ready(heapq.heappop(self._delayed)[2])
        turn = _Turn(slots=slots, needs_slot=needs_slot, most=most, machine=machine, room=self._room())
        held: list[tuple[Lane, tuple[int, str]]] = []
        # Only the first of each ready_queue is looked at: there may be ten thousand behind it.
        heads = [(queue[0], ready_queue) for ready_queue, queue in self._ready.items() if queue]
        heapq.heapify(heads)
        while heads:
            entry, ready_queue = heapq.heappop(heads)
            if turn.is_closed(ready_queue):
                continue  # nothing in this ready_queue can start now
            queue = self._ready[ready_queue]
            heapq.heappop(queue)
            task_id = entry[1]
            if task_id not in self._queued or self.history.tasks[task_id].status is not TaskStatus.PENDING:
                self._queued.discard(task_id)
            elif company := self._startable(task_id, turn):
                self._start(company, ready_queue, turn)
            else:
                held.append((ready_queue, entry))
                if task_id in turn.refused:
                    continue  # all others in this ready_queue ask for as much
            if queue:
                heapq.heappush(heads, (queue[0], ready_queue))
        for ready_queue, entry in held:
            heapq.heappush(self._ready[ready_queue], entry)
        return turn.taken

    def _startable(self, task_id: str, turn: _Turn) -> list[str] | None:
        """Who starts with the task, if they can now."""
        company = self._company(task_id)
        if company is None or company[0] in turn.refused:
            return None
        need = self._need(company, turn.needs_slot)
        if turn.slots is not None and min(need, turn.most or need) > turn.slots:
            return None
        tasks = [self.tasks[name] for name in company]
        if turn.machine is None or not any(task.resources for task in tasks) or turn.machine.take(tasks):
            return company
        turn.refused.add(company[0])
        return None

    def _start(self, company: Sequence[str], ready_queue: Lane, turn: _Turn) -> None:
        if turn.slots is not None:
            turn.slots = max(0, turn.slots - self._need(company, turn.needs_slot))
        if ready_queue[0]:
            turn.room[ready_queue[0]] -= 1
            self._running[ready_queue[0]].add(company[0])
        turn.taken += company
        self._queued.difference_update(company)

    def _room(self) -> dict[str, int]:
        """How many members may start now of each group with `max_parallel` that has any waiting."""
        room = {}
        for (name, *_), queue in self._ready.items():
            if name and queue and name not in room:
                # Those taken in an earlier turn are live by now, or over, or wait to be tried again.
                running = {one for one in self._running.get(name, ()) if self.history.tasks[one].is_live}
                self._running[name] = running
                room[name] = max(0, (self.groups[name].max_parallel or 0) - len(running))
        return room

    def _need(self, names: Iterable[str], needs_slot: Mapping[str, bool]) -> int:
        return sum(needs_slot[self.tasks[name].executor] for name in names)

    def _company(self, task_id: str) -> list[str] | None:
        """Who starts with the task: itself alone, or its whole group; None while some are not ready."""
        group = self.groups.get(self.tasks[task_id].group or "")
        if group is None or not group.together:
            return [task_id]
        pending = [name for name in group.members if self.history.tasks[name].status is TaskStatus.PENDING]
        return pending if self._queued.issuperset(pending) else None

    def next_delay(self) -> float | None:
        """When the next delayed task is due, in Unix seconds."""
        return self._delayed[0][0] if self._delayed else None

    def retry_is_due(self, task_id: str) -> bool:
        """Whether a task that ended is to be tried again."""
        state, retry = self.history.tasks[task_id], self.tasks[task_id].retry
        if state.status is not TaskStatus.FAILED or state.tries >= retry.limit:
            return False
        if self.limit_is_hit() and self.tasks[task_id].handler is None:
            return False
        group = self.groups.get(self.tasks[task_id].group or "")
        if group is not None and group.max_failures and self._failed[group.id] >= group.max_failures:
            return False
        return state.cancel is None and rule_of(retry, state) is not None

    def retry_time(self, task_id: str, now: float) -> float | None:
        """When the next attempt may start, in Unix seconds; None for at once."""
        retry, tries = self.tasks[task_id].retry, self.history.tasks[task_id].tries
        longest = LONGEST_DELAY if retry.max_delay is None else retry.max_delay
        try:
            delay = min(retry.delay * retry.backoff**tries, longest)
        except OverflowError:
            delay = longest
        return now + delay if delay > 0 else None

    def limit_is_hit(self) -> bool:
        """Whether so many tasks failed that nothing new may start."""
        limit = self.spec.run.max_failures
        return limit is not None and self.failures >= limit

    def final_status(self) -> ExperimentStatus:
        """How the experiment has ended, now that all its tasks are over; of handlers nothing depends."""
        if self.history.cancel and self.history.cancel.reason != Reason.LIMIT:
            return ExperimentStatus.CANCELLED
        if self.history.limit or self.limit_is_hit():
            return ExperimentStatus.FAILED
        for name, task in self.tasks.items():
            status = self.history.tasks[name].status
            is_bad = status in (TaskStatus.FAILED, TaskStatus.CANCELLED) and task.handler is None
            if is_bad and not task.allow_failure:
                return ExperimentStatus.FAILED
        return ExperimentStatus.COMPLETED

    def below(self, task_ids: Iterable[str]) -> set[str]:
        """The tasks and all that depend on them, directly or not."""
        found: set[str] = set()
        queue = list(task_ids)
        while queue:
            if (name := queue.pop()) not in found:
                found.add(name)
                queue += self._children[name]
        return found


def rule_of(retry: Retry, state: TaskState) -> str | None:
    """What in a task's `retry.on` names the way it failed, as it stands there; None if nothing does."""
    word = RETRIED_AS.get(Reason(state.reason)) if state.reason else None
    if word == "exit" and state.exit_code in retry.on:
        return str(state.exit_code)
    if state.symptom in retry.log:
        return f"log: {state.symptom}"
    return next((one for one in (word, ANY) if word is not None and one in retry.on), None)
