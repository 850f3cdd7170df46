"""Who may wait in an engine's own queue for tasks that are not over yet. No effects.

What waits there gains priority meanwhile, and goes on when no supervisor lives. That is right only where
nothing has to be decided here between the end of the parents and the start of the child.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from nemorun_cli.executors import Upstream
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors import Need
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState, TaskState

Queues: TypeAlias = "Mapping[str, str | None]"
"""By the name of an executor, what names its engine's queue; None if nothing can wait there."""

_WENT_WRONG = (TaskStatus.FAILED, TaskStatus.CANCELLED)


class Rules:
    """What the spec alone says about it.

    Args:
        spec: the spec.
        queues: the queues of its executors.
    """

    def __init__(self, spec: Spec, queues: Queues) -> None:
        self.tasks = {task.id: task for task in spec.tasks}
        self._queues = queues
        self._groups = {group.id: group for group in spec.groups}
        self._has_limits = spec.run.max_parallel is not None or spec.run.max_failures is not None

    def may_wait(self, task: Task) -> bool:
        """Whether nothing about the task itself has to be decided when its turn comes."""
        group = self._groups.get(task.group or "")
        return bool(
            self._queues.get(task.executor)
            and task.dependencies
            and task.handler is None
            and not task.late
            and task.when is None
            and not self._has_limits
            and (group is None or not _decides(group))
        )

    def may_be_awaited(self, parent: str, task: Task) -> bool:
        """Whether a parent's end can be waited for in the task's queue: it is there, and the end is final.

        A success always is. After a failure that is tried again the task is given back, and waits here.
        """
        found = self.tasks[parent]
        is_final = not found.retry.limit or (task.dependency_type == "afterok" and not found.allow_failure)
        is_there = self._queues.get(found.executor) == self._queues[task.executor]
        return is_there and is_final and self._has_whole_company(found, task)

    def _has_whole_company(self, parent: Task, task: Task) -> bool:
        """Whether what starts together with a parent is waited for too, for its engine may end it as one."""
        group = self._groups.get(parent.group or "")
        return group is None or not group.together or set(task.dependencies).issuperset(group.members)

    def upstream(self, task: Task) -> tuple[list[str], list[str]]:
        """Whom a task is queued behind, and who has to be over first; empty if it is not queued early."""
        if not self.may_wait(task):
            return [], []
        parents: tuple[list[str], list[str]] = [], []
        for name in task.dependencies:
            parents[not self.may_be_awaited(name, task)].append(name)
        return parents if parents[0] else ([], [])


class EarlyQueue:
    """The tasks that may be queued early, followed as their parents get to their engine or end."""

    def __init__(self, spec: Spec, history: ExperimentState, queues: Queues) -> None:
        self.rules = Rules(spec, queues)
        self._history = history
        self._lacking: dict[str, int] = {}  # parents that are neither over nor at their engine
        self._children: defaultdict[str, list[str]] = defaultdict(list)
        self._settled: set[str] = set()
        self._candidates: list[tuple[int, str]] = []
        for task in spec.tasks:
            if self.rules.may_wait(task):
                self._lacking[task.id] = len(task.dependencies)
                for parent in task.dependencies:
                    self._children[parent].append(task.id)
        for name in self._children:
            self.notice(name)

    def notice(self, task_id: str) -> None:
        """Take account of a task of which something new is known."""
        if task_id in self._settled or task_id not in self._children:
            return
        state = self._history.tasks[task_id]
        if not state.is_over and not _is_at_engine(state):
            return
        self._settled.add(task_id)
        for child in self._children[task_id]:
            self._lacking[child] -= 1
            if not self._lacking[child]:
                heapq.heappush(self._candidates, (self.rules.tasks[child].index, child))

    def take(self) -> list[tuple[str, dict[str, Need]]]:
        """The tasks to be queued now, in the order of the file, each with what it needs of whom."""
        taken = []
        while self._candidates:
            name = heapq.heappop(self._candidates)[1]
            state = self._history.tasks[name]
            # What an engine gave back once waits here from then on.
            is_new = state.status is TaskStatus.PENDING and state.submitted is None and state.cancel is None
            if is_new and (needs := self._needs(self.rules.tasks[name])):
                taken.append((name, needs))
        return taken

    def awaited(self, needs: Mapping[str, Need], files: ExperimentFiles) -> tuple[Upstream, ...]:
        """The attempts of which this is needed, as an executor is told of them."""
        found = []
        for name, need in needs.items():
            state = self._history.tasks[name]
            assert state.job_id is not None  # noqa: S101 - only such attempts can be waited for
            found.append(
                Upstream(
                    key=(name, state.attempt),
                    job_id=state.job_id,
                    files=files.attempt(name, state.attempt),
                    need=need,
                    has_secrets=bool(self.rules.tasks[name].secrets),
                )
            )
        return tuple(found)

    def _needs(self, task: Task) -> dict[str, Need]:
        states = {name: self._history.tasks[name] for name in task.dependencies}
        waits = [name for name, state in states.items() if not state.is_over]
        if not all(_is_at_engine(states[name]) and self.rules.may_be_awaited(name, task) for name in waits):
            return {}
        if task.dependency_type == "afterok":
            return {
                name: "no_cancel" if self.rules.tasks[name].allow_failure else "success" for name in waits
            }
        went_wrong = any(state.status in _WENT_WRONG for state in states.values())
        need: Need = "failure" if task.dependency_type == "afternotok" and not went_wrong else "end"
        return dict.fromkeys(waits, need)


def _decides(group: Group) -> bool:
    """Whether a member's turn hangs on the other members."""
    return group.together or group.max_parallel is not None or group.max_failures is not None


def _is_at_engine(state: TaskState) -> bool:
    return state.is_live and state.job_id is not None and state.cancel is None
