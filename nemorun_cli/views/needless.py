"""The members of groups with a leader that nothing stops, although their group has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.scheduler.schedule import Schedule

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.state import ExperimentState

_RUNS = frozenset({TaskStatus.SUBMITTED, TaskStatus.RUNNING})


def members(spec: Spec, history: ExperimentState) -> list[str]:
    """The ids of the members that only a supervisor stops, in groups that have ended with their leader."""
    schedule = Schedule(spec, history)
    return [
        name
        for group in spec.groups
        if group.has_leader and schedule.group_end(group) is not None
        for name in group.members
        if history.tasks[name].status in _RUNS and not is_stopped_by_job(spec, group, schedule.tasks[name])
    ]


def is_stopped_by_job(spec: Spec, group: Group, task: Task) -> bool:
    """Whether the job of a task stops it when its group ends with its leader, also without a supervisor."""
    options = spec.executors.get(task.executor, {"type": task.executor})
    return group.together and executors.capabilities(task.executor, options).ends_groups
