"""The members of groups with a leader that nothing stops, although their group has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.scheduler.schedule import Schedule

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.scheduler.leaders import GroupEnd
    from nemorun_cli.storage.state import ExperimentState

_RUNS = frozenset({TaskStatus.SUBMITTED, TaskStatus.RUNNING})


def members(spec: Spec, history: ExperimentState) -> list[str]:
    """The ids of the members that only a supervisor stops, in groups that have ended with their leader."""
    schedule = Schedule(spec, history)
    return [
        name
        for group in spec.groups
        if (end := schedule.group_end(group) if group.has_leader else None)
        for name in group.members
        if history.tasks[name].status in _RUNS and not is_stopped_by_job(schedule, group, name, end)
    ]


def is_stopped_by_job(schedule: Schedule, group: Group, member: str, end: GroupEnd) -> bool:
    """Whether the job of a member stops it as its group ends, also without a supervisor.

    Only the job does that in which the member ran that ended the group.
    """
    name = schedule.tasks[member].executor
    options = schedule.spec.executors.get(name, {"type": name})
    if not group.together or not executors.capabilities(name, options).ends_groups:
        return False
    jobs = [schedule.history.tasks[each].job_id or "" for each in (member, end.cause)]
    own, other = (job.partition("+")[0] for job in jobs)  # of a heterogeneous job, each has its component
    return own == other and schedule.tasks[end.cause].executor == name
