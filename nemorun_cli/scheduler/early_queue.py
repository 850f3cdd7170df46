"""Decides which tasks may be submitted to an engine before their parents have finished. No effects.

Such a task gains queue priority while it waits, and starts even if no supervisor is running. This is correct
only if exp has nothing to decide between the end of the parents and the start of the child.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from nemorun_cli.executors import Upstream
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.executors import Need
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState, TaskState

Queues: TypeAlias = "Mapping[str, str | None]"
"""Name of an executor -> name of its engine's queue; None if its tasks cannot be queued early."""

ExternalJob: TypeAlias = "Callable[[str, str], Upstream | None]"
"""Key of an `External`, name of a queue -> the job of that queue which it is now; its need does not count."""

_BAD_ENDS = (TaskStatus.FAILED, TaskStatus.CANCELLED)


class Rules:
    """The rules that depend on the spec alone.

    Args:
        spec: the spec.
        queues: the queue of each executor.
    """

    def __init__(self, spec: Spec, queues: Queues) -> None:
        self.tasks = spec.by_id()
        self._queues = queues
        self._groups = {group.id: group for group in spec.groups}
        self._has_limits = spec.run.max_parallel is not None or spec.run.max_failures is not None

    def may_wait(self, task: Task) -> bool:
        """Whether exp has nothing left to decide about the task itself when its parents finish."""
        group = self._groups.get(task.group or "")
        return bool(
            self._queues.get(task.executor)
            and (task.dependencies or task.external)
            and task.handler is None
            and not task.late
            and task.when is None
            and task.cache is None  # the results of its parents decide whether it runs at all
            and not self._has_limits
            and (group is None or not _decides(group))
        )

    def may_be_awaited(self, parent: str, task: Task) -> bool:
        """Whether the engine can wait for a parent: both are in one queue, and the parent's end is final.

        A success is always final. If a parent fails and is retried, the task returns to the scheduler. For
        the engine, a task fails that is stopped because a metric has reached its target, the leader of its
        group has succeeded, or it is a trial that is pruned.
        """
        upstream = self.tasks[parent]
        group = self._groups.get(upstream.group or "")
        if upstream.stop or (group is not None and (group.has_leader or group.search is not None)):
            return False
        is_final = not upstream.retry.limit or (
            task.dependency_type == "afterok" and not upstream.allow_failure
        )
        same_queue = self._queues.get(upstream.executor) == self._queues[task.executor]
        return same_queue and is_final and self._covers_group(upstream, task)

    def _covers_group(self, parent: Task, task: Task) -> bool:
        """Whether the task depends on all members of a parent's co-scheduled group, which may end as one."""
        group = self._groups.get(parent.group or "")
        return group is None or not group.together or set(task.dependencies).issuperset(group.members)

    def upstream(self, task: Task) -> tuple[list[str], list[str]]:
        """Return the parents that the engine waits for, and those that must finish before that.

        Both lists are empty if the task is not queued early.
        """
        if not self.may_wait(task):
            return [], []
        parents: tuple[list[str], list[str]] = [], []
        for name in task.dependencies:
            parents[not self.may_be_awaited(name, task)].append(name)
        return parents if parents[0] else ([], [])


class EarlyQueue:
    """The tasks that may be queued early, updated as their parents are submitted or finish.

    Args:
        spec: the spec.
        history: the state of its tasks.
        queues: the queue of each executor.
        external_job: finds the jobs of what tasks wait for outside of the experiment.
    """

    def __init__(
        self,
        spec: Spec,
        history: ExperimentState,
        queues: Queues,
        external_job: ExternalJob = lambda *_: None,
    ) -> None:
        self.rules = Rules(spec, queues)
        self._history, self._queues, self._external_job = history, queues, external_job
        self._keys = frozenset(external.key for external in spec.external)
        self._missing: dict[str, int] = {}  # parents that are neither finished nor submitted
        self._children: defaultdict[str, list[str]] = defaultdict(list)
        self._settled: set[str] = set()
        self._candidates: list[tuple[int, str]] = []
        for task in spec.tasks:
            if self.rules.may_wait(task):
                self._missing[task.id] = len(task.dependencies) + len(task.external)
                for parent in (*task.dependencies, *task.external):
                    self._children[parent].append(task.id)
        for name in list(self._children):
            self.notice(name)

    def notice(self, task_id: str) -> None:
        """Update the candidates after the state of a task, or of something outside, has changed."""
        if task_id in self._settled or task_id not in self._children or not self._is_there(task_id):
            return
        self._settled.add(task_id)
        for child in self._children[task_id]:
            self._missing[child] -= 1
            if not self._missing[child]:
                heapq.heappush(self._candidates, (self.rules.tasks[child].index, child))

    def notice_external(self) -> None:
        """The same for all that is outside of the experiment."""
        for key in self._keys:
            self.notice(key)

    def _is_there(self, name: str) -> bool:
        """Whether a parent has finished, or is a job that others can wait for."""
        if name not in self._keys:
            state = self._history.tasks[name]
            return state.is_over or _is_submitted(state)
        queues = (self._queues.get(self.rules.tasks[child].executor) for child in self._children[name])
        return name in self._history.external or any(
            queue and self._external_job(name, queue) for queue in queues
        )

    def take(self, *, is_held: Callable[[str], bool] = lambda _: False) -> list[tuple[str, dict[str, Need]]]:
        """Return the tasks to queue now, in the order of the spec, each with its needs by parent.

        Args:
            is_held: whether a task is to be asked for again later.
        """
        taken = []
        held = [entry for entry in self._candidates if is_held(entry[1])]
        candidates, self._candidates = set(self._candidates) - set(held), held
        heapq.heapify(self._candidates)
        for _, name in sorted(candidates):
            state = self._history.tasks[name]
            # A task that an engine returned is not queued early again.
            is_new = state.status is TaskStatus.PENDING and state.submitted is None and state.cancel is None
            if is_new and (needs := self._needs(self.rules.tasks[name])):
                taken.append((name, needs))
        return taken

    def awaited(
        self, task_id: str, needs: Mapping[str, Need], files: ExperimentFiles
    ) -> tuple[Upstream, ...]:
        """Return the attempts and jobs that a task waits for, as its executor needs them."""
        queue = self._queues[self.rules.tasks[task_id].executor] or ""
        upstream = []
        for name, need in needs.items():
            if name in self._keys:
                job = self._external_job(name, queue)
                assert job is not None  # noqa: S101 - it was found just now
                upstream.append(replace(job, need=need))
                continue
            state = self._history.tasks[name]
            assert state.job_id is not None  # noqa: S101 - only such attempts can be waited for
            upstream.append(
                Upstream(
                    key=(name, state.attempt),
                    job_id=state.job_id,
                    files=files.attempt(name, state.attempt),
                    need=need,
                    has_secrets=bool(self.rules.tasks[name].secrets),
                )
            )
        return tuple(upstream)

    def _needs(self, task: Task) -> dict[str, Need]:
        states = {name: self._history.tasks[name] for name in task.dependencies}
        unfinished = [name for name, state in states.items() if not state.is_over]
        if not all(
            _is_submitted(states[name]) and self.rules.may_be_awaited(name, task) for name in unfinished
        ):
            return {}
        queue = self._queues[task.executor] or ""
        outside = [key for key in task.external if key not in self._history.external]
        if not all(self._external_job(key, queue) for key in outside):
            return {}
        if task.dependency_type == "afterok":
            needs: dict[str, Need] = {
                name: "no_cancel" if self.rules.tasks[name].allow_failure else "success"
                for name in unfinished
            }
            return needs | dict.fromkeys(outside, "success")
        ended = [self._history.external[key].status for key in task.external if key not in outside]
        has_bad_end = not {*ended, *(state.status for state in states.values())}.isdisjoint(_BAD_ENDS)
        unfinished += outside
        need: Need = "failure" if task.dependency_type == "afternotok" and not has_bad_end else "end"
        return dict.fromkeys(unfinished, need)


def _decides(group: Group) -> bool:
    """Whether the start of a member depends on the other members."""
    has_limits = group.max_parallel is not None or group.max_failures is not None
    return group.together or group.has_leader or has_limits


def _is_submitted(state: TaskState) -> bool:
    return state.is_live and state.job_id is not None and state.cancel is None
