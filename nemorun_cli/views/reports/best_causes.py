"""What the choice of the best member of a group explains: of its members, and of tasks that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.model.status import Reason
from nemorun_cli.storage import events as kinds
from nemorun_cli.views import group_bests
from nemorun_cli.views.reports.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.state import ExperimentState, TaskState


def of_task(
    spec: Spec, history: ExperimentState, events: Sequence[Event], task: Task, state: TaskState
) -> Iterator[Cause]:
    """The causes of a task's status that have to do with the best of a group."""
    groups = {group.id: group for group in group_bests.of(spec)}
    if not groups:
        return
    if (own := groups.get(task.group or "")) is not None:
        yield from _of_member(history, own, task)
    if task.late or isinstance(task.when, str):
        from nemorun_cli.spec.expressions import evaluate  # noqa: PLC0415 - few tasks use the best of a group

        for name in evaluate.used_bests(task, groups):
            yield from _of_user(groups[name], events, task, state)


def _of_member(history: ExperimentState, group: Group, task: Task) -> Iterator[Cause]:
    best = group_bests.chosen(history, group)
    if best is None:
        return
    if best.winner == task.id:
        yield Cause(kind="best", message=group_bests.described(group, best), task=task.id)
    for each in best.excluded:
        if group.unit_of(each["task"]) == group.unit_of(task.id):
            subject = "it" if group.unit_of(task.id) == task.id else "its trial"
            text = f"{subject} cannot be the best of {group.id}: it {each['message']}"
            yield Cause(kind="excluded", message=text)


def _of_user(group: Group, events: Sequence[Event], task: Task, state: TaskState) -> Iterator[Cause]:
    """The member that a task used as the best; or why none was there to be used."""
    choice = None
    for event in events:
        if event["event"] == kinds.BEST_CHOSEN and event["group"] == group.id:
            choice = event
        if event["event"] != kinds.SUBMITTED or event["task"] != task.id:
            continue
        if event["attempt"] == state.attempt:
            break
    if choice is None:
        return
    if (winner := choice.get("winner")) is not None:
        if state.submitted:
            value = f", {choice['value']:.6g}" if "value" in choice else ""
            by = f"{choice['goal']} {choice['metric']}{value}"
            text = f"it used {group.unit_of(winner)} as the best of {group.id} ({by})"
            yield Cause(kind="best", message=text, task=winner)
    elif state.reason == Reason.TEMPLATE:
        yield from _of_excluded(group, choice)


def _of_excluded(group: Group, choice: Event) -> Iterator[Cause]:
    """The members that could not be the best, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for each in choice.get("excluded", ()):
        reasons.setdefault(each["message"], []).append(each["task"])
    for reason, tasks in reasons.items():
        names = [group.unit_of(name) for name in tasks]
        text = f"cannot be the best of {group.id}: {group_bests.excluded(reason, names)}"
        yield Cause(kind="excluded", message=text, task=tasks[0])
