"""Decides when a group ends with its leader, from the states of its members. No effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.spec import Group, Task
    from nemorun_cli.storage.state import TaskState

GROUP_REASONS: Final = frozenset({Reason.UNTIL, Reason.DEPENDENCY})  # of members stopped as their group ends


@dataclass(frozen=True, slots=True)
class GroupEnd:
    """Why the members of a group that have not ended are stopped.

    `reason` is UNTIL if the leader succeeded, and DEPENDENCY if the group failed; `cause` is the member whose
    end decided that.
    """

    reason: Reason
    cause: str
    message: str


def end_of(group: Group, over: Mapping[str, TaskState], tasks: Mapping[str, Task]) -> GroupEnd | None:
    """Whether a group ends although members have not ended, and why.

    The success of the leader is decisive, then any other end of it, then a failure of another member.

    Args:
        group: the group.
        over: the states of the members that have ended and are not retried.
        tasks: the tasks, by id.
    """
    if not group.has_leader:
        return None
    if leader := succeeded_leader(group, over):
        return GroupEnd(Reason.UNTIL, leader, f"{leader} succeeded, and {group.id} ends with it")
    if group.leader is not None and group.leader in over:
        status = over[group.leader].status
        return GroupEnd(
            Reason.DEPENDENCY, group.leader, f"{group.leader} is {status}, and {group.id} ends with it"
        )
    failed = next((name for name, state in over.items() if _fails_group(tasks[name], state)), None)
    if failed is None:
        return None
    return GroupEnd(Reason.DEPENDENCY, failed, f"{failed} failed before {group.id} had succeeded")


def succeeded_leader(group: Group, over: Mapping[str, TaskState]) -> str | None:
    """The member that ended the group by its success; of several, the first one."""
    leaders = [name for name, state in over.items() if group.may_lead(name) and has_succeeded(state)]
    return min(leaders, key=lambda name: over[name].ended or "", default=None)


def has_succeeded(state: TaskState) -> bool:
    """Whether a task succeeded by itself, and was not stopped because its leader had succeeded."""
    return state.status is TaskStatus.SUCCEEDED and state.reason != Reason.UNTIL


def is_excused(group: Group, state: TaskState, leader: TaskState | None, *, may_fail: bool) -> bool:
    """Whether a member did not succeed only because its leader was skipped, or failed as it is allowed to.

    Args:
        group: the group.
        state: the state of the member.
        leader: the state of the leader, if the group names one.
        may_fail: whether the leader has `allow_failure`.
    """
    if not group.has_leader or leader is None or state.reason != Reason.DEPENDENCY:
        return False
    return leader.status is TaskStatus.SKIPPED or (leader.status is TaskStatus.FAILED and may_fail)


def _fails_group(task: Task, state: TaskState) -> bool:
    return state.status is TaskStatus.FAILED and not task.allow_failure
