"""What a resume runs again, and why: decided from the history alone, and then written down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nemorun_cli.errors import UsageError
from nemorun_cli.model.status import Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.state import ExperimentState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a resume does with one task: `keep` it, `adopt` what lives, let it `wait`, or `run` it again."""

    task: str
    action: Literal["keep", "adopt", "wait", "run"]
    reason: str
    attempt: int


def decide(
    schedule: Schedule, *, below: Sequence[str] = (), changes: Mapping[str, str] | None = None
) -> list[Decision]:
    """A decision for each task, in the order of the file.

    Args:
        schedule: the tasks, and how they stand.
        below: tasks that run again in any case, with all that depend on them.
        changes: tasks that do so because they are something else than they were, and what of them is.

    Raises:
        UsageError: something that would have to run again is still alive.
    """
    decisions = _decided(schedule, [*below, *(changes or {})])
    if not changes:
        return decisions
    asked, due = schedule.below(below), schedule.below(changes)
    reasons = {**dict.fromkeys(due - asked, "something that it depends on changed"), **changes}
    return [
        replace(one, reason=reasons[one.task]) if one.action == "run" and one.task in reasons else one
        for one in decisions
    ]


def _decided(schedule: Schedule, below: Sequence[str]) -> list[Decision]:
    history = schedule.history
    again = schedule.below(below)
    tasks = [task.id for task in schedule.spec.tasks if task.handler is None]
    decisions = [_decide(name, history.tasks[name], name in again) for name in tasks]
    if any(one.action != "keep" for one in decisions):
        decisions += [_at_new_end(name, history.tasks[name]) for name in _handlers(schedule)]
    else:
        decisions += [_at_same_end(name, history.tasks[name], name in again) for name in _handlers(schedule)]
    alive = [one.task for one in decisions if one.action == "adopt" and one.task in again]
    if alive:
        raise UsageError(
            f"still alive: {', '.join(alive)}", hint="cancel them first, then run them again with --from"
        )
    return decisions


def _decide(task_id: str, state: TaskState, wanted: bool) -> Decision:  # noqa: FBT001 - private, one caller
    if state.is_live:
        return Decision(
            task=task_id,
            action="adopt",
            reason=f"{state.status} as attempt {state.attempt}",
            attempt=state.attempt,
        )
    if state.status is TaskStatus.PENDING:
        what = f"attempt {state.attempt}" if state.attempt > 1 else "it"
        return Decision(task=task_id, action="wait", reason=f"{what} has not begun", attempt=state.attempt)
    if state.status is TaskStatus.SUCCEEDED and not wanted:
        return Decision(
            task=task_id,
            action="keep",
            reason=f"it succeeded in attempt {state.attempt}",
            attempt=state.attempt,
        )
    why = "wanted by --from" if wanted else f"it was {state.status}"
    if state.reason and not wanted:
        why += f" ({state.reason}{': ' + state.message if state.message else ''})"
    return Decision(
        task=task_id, action="run", reason=why, attempt=state.attempt + (1 if state.submitted else 0)
    )


def _handlers(schedule: Schedule) -> list[str]:
    return [task.id for task in schedule.spec.tasks if task.handler is not None]


def _at_new_end(name: str, state: TaskState) -> Decision:
    """A handler of an experiment that will end once more."""
    decision = _decide(name, state, wanted=True)
    if decision.action == "adopt":
        return decision
    reason = "it runs, or not, by how the experiment comes out"
    return replace(decision, reason=reason)


def _at_same_end(name: str, state: TaskState, wanted: bool) -> Decision:  # noqa: FBT001 - private, one caller
    """A handler of an experiment whose tasks stay as they are."""
    if state.reason == Reason.OUTCOME and not wanted:
        return Decision(task=name, action="keep", reason=state.message or "", attempt=state.attempt)
    return _decide(name, state, wanted)


def refuse_late(history: ExperimentState, decisions: Sequence[Decision]) -> None:
    """See that no handler lives that belongs to an end which will not stand.

    Raises:
        UsageError: one does.
    """
    handlers = history.handlers
    late = [one.task for one in decisions if one.action == "adopt" and one.task in handlers]
    if late and any(one.action != "keep" and one.task not in handlers for one in decisions):
        raise UsageError(
            f"still alive since the last end: {', '.join(late)}",
            hint="wait until they are over (exp wait), or cancel them first",
        )


def is_pointless(history: ExperimentState, decisions: Sequence[Decision]) -> bool:
    """Whether a resume would change nothing."""
    return history.finished is not None and all(one.action == "keep" for one in decisions)
