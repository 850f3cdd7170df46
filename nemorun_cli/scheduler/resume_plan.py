"""Decides from the state alone what a resume runs again, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nemorun_cli.errors import UsageError
from nemorun_cli.model.search import id_of_trial, trial_number
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler import leaders

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from nemorun_cli.model.spec import Group
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.state import ExperimentState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a resume does with a task: `keep` a result, `adopt` a live attempt, `wait`, or `run` again."""

    task: str
    action: Literal["keep", "adopt", "wait", "run"]
    reason: str
    attempt: int


def decide(
    schedule: Schedule, *, below: Sequence[str] = (), changes: Mapping[str, str] | None = None
) -> list[Decision]:
    """Return a decision for each task, in the order of the spec.

    Args:
        schedule: the tasks and their states.
        below: tasks that run again in any case, with all their descendants.
        changes: tasks that run again because they changed, each with a text that names the change.

    Raises:
        UsageError: a task that has to run again is still alive.
    """
    decisions = _decided(schedule, [*below, *(changes or {})])
    if not changes:
        return decisions
    requested, affected = _requested(schedule, below), _requested(schedule, changes)
    reasons = {**dict.fromkeys(affected - requested, "a task that it depends on changed"), **changes}
    return [
        replace(decision, reason=reasons[decision.task])
        if decision.action == "run" and decision.task in reasons
        else decision
        for decision in decisions
    ]


def _decided(schedule: Schedule, below: Sequence[str]) -> list[Decision]:
    history = schedule.history
    requested = _requested(schedule, below)
    tasks = [task.id for task in schedule.spec.tasks if task.handler is None]
    needless, trials = _needless(schedule, requested), _kept_trials(schedule, requested)
    decisions = [
        _leave(name, history.tasks[name], needless[name])
        if name in needless
        else trials.get(name) or _decide(name, history.tasks[name], name in requested)
        for name in tasks
    ]
    if any(decision.action != "keep" for decision in decisions):
        decisions += [_for_new_outcome(name, history.tasks[name]) for name in _handlers(schedule)]
    else:
        decisions += [
            _for_same_outcome(name, history.tasks[name], name in requested) for name in _handlers(schedule)
        ]
    alive = [
        decision.task for decision in decisions if decision.action == "adopt" and decision.task in requested
    ]
    if alive:
        raise UsageError(
            f"still alive: {', '.join(alive)}", hint="cancel them first, then run them again with --from"
        )
    return decisions


def _requested(schedule: Schedule, below: Iterable[str]) -> set[str]:
    """The tasks to run again with all their descendants, and what runs with them in groups with a leader.

    A member runs again only with its leader, and the leader with the members that were stopped as it ended.
    """
    states, names = schedule.history.tasks, schedule.below(below)
    while True:
        groups = {group.id: group for name in names if (group := schedule.group_with_leader(name))}
        more = {
            member
            for group in groups.values()
            for member in group.members
            if states[member].reason == Reason.UNTIL or _leads(group, member, states[member])
        }
        more |= {member for name in names for member in _pruned_with(schedule, name)}
        if more <= names:
            return names
        names = schedule.below(names | more)


def _pruned_with(schedule: Schedule, name: str) -> list[str]:
    """The tasks of the trial of a task that were pruned: none of them runs again without the others."""
    states, tasks = schedule.history.tasks, schedule.trials.tasks_of(name)
    return [task for task in tasks if len(tasks) > 1 and states[task].reason == Reason.PRUNED]


def _leads(group: Group, member: str, state: TaskState) -> bool:
    return group.leader == member or (group.may_lead(member) and leaders.has_succeeded(state))


def _needless(schedule: Schedule, requested: Collection[str]) -> dict[str, str]:
    """The members that do not run again because their leader has succeeded and does not either, with that."""
    states = schedule.history.tasks
    needless: dict[str, str] = {}
    for group in schedule.spec.groups:
        over = {name: states[name] for name in group.members if group.has_leader and states[name].is_over}
        leader = leaders.succeeded_leader(group, over) if over else None
        if leader is not None and leader not in requested:
            needless |= {
                name: leader
                for name in group.members
                if states[name].status is not TaskStatus.SUCCEEDED and name not in requested
            }
    return needless


def _kept_trials(schedule: Schedule, requested: Collection[str]) -> dict[str, Decision]:
    """The decisions about trials that have a result without success, or were not needed any more."""
    kept: dict[str, Decision] = {}
    for group in schedule.spec.groups:
        if group.search is None:
            continue
        results = schedule.history.studies[group.id].results if group.id in schedule.history.studies else {}
        limit = _failure_limit(schedule, group, requested)
        for name in group.members:
            state = schedule.history.tasks[name]
            if name in requested:
                continue
            has_failed = state.is_over and state.status is not TaskStatus.SUCCEEDED
            if has_failed and trial_number(name) in results:
                text = f"it is {state.status}, and that is its result; --from {name} runs it again"
                if id_of_trial(name) != name:
                    text = f"it is {state.status}, and its trial has a result; --from {name} runs it again"
            elif state.is_needless:
                text = state.message or f"the search {group.id} had ended"
            elif limit is not None and state.status is TaskStatus.SKIPPED and state.reason == Reason.LIMIT:
                text = limit
            else:
                continue
            kept[name] = Decision(task=name, action="keep", reason=text, attempt=state.attempt)
    return kept


def _failure_limit(schedule: Schedule, group: Group, requested: Collection[str]) -> str | None:
    """Why no further trial of a search starts, if as many as may fail have failed and are kept."""
    study, states = schedule.history.studies.get(group.id), schedule.history.tasks
    if study is None or group.max_failures is None:
        return None
    failed = {
        id_of_trial(name)
        for name in group.members
        if states[name].status is TaskStatus.FAILED
        and trial_number(name) in study.results
        and name not in requested
        and not schedule.tasks[name].allow_failure
    }
    if len(failed) < group.max_failures:
        return None
    return (
        f"{len(failed)} trials of {group.id} failed, and its max_failures is {group.max_failures}; "
        "run failed trials again (--from), or raise max_failures (--spec)"
    )


def _leave(task_id: str, state: TaskState, leader: str) -> Decision:
    """The decision about a member whose leader has succeeded: it is stopped, skipped or left as it is."""
    if not state.is_over:
        decision = _decide(task_id, state, is_requested=False)
        outcome = "stopped" if state.is_live else "skipped"
        reason = f"{decision.reason}; it is {outcome}, as {leader} has succeeded"
        return replace(decision, reason=reason)
    reason = f"it is {state.status}, and {leader}, with which its group ends, has succeeded"
    if state.reason != Reason.UNTIL:
        reason += f"; --from {task_id} runs both again"
    return Decision(task=task_id, action="keep", reason=reason, attempt=state.attempt)


def _refuse_stopping(schedule: Schedule, decisions: Sequence[Decision]) -> None:
    """Check that no leader runs again while a member that was asked to stop is alive.

    Raises:
        UsageError: such a member is alive.
    """
    again = {
        group.id
        for decision in decisions
        if decision.action == "run"
        and (group := schedule.group_with_leader(decision.task))
        and group.may_lead(decision.task)
    }
    stopping = [
        decision.task
        for decision in decisions
        if decision.action == "adopt"
        and schedule.history.tasks[decision.task].cancel
        and schedule.tasks[decision.task].group in again
    ]
    if stopping:
        raise UsageError(
            f"asked to stop, and still alive: {', '.join(stopping)}",
            hint="cancel them first, then resume: their group runs again",
        )


def _decide(task_id: str, state: TaskState, is_requested: bool) -> Decision:  # noqa: FBT001 - private, one caller
    if state.is_live:
        return Decision(
            task=task_id,
            action="adopt",
            reason=f"{state.status} as attempt {state.attempt}",
            attempt=state.attempt,
        )
    if state.status is TaskStatus.PENDING:
        subject = f"attempt {state.attempt}" if state.attempt > 1 else "it"
        return Decision(
            task=task_id, action="wait", reason=f"{subject} has not started", attempt=state.attempt
        )
    if state.status is TaskStatus.SUCCEEDED and not is_requested:
        return Decision(
            task=task_id,
            action="keep",
            reason=f"it succeeded in attempt {state.attempt}",
            attempt=state.attempt,
        )
    reason = "requested by --from" if is_requested else f"it was {state.status}"
    if state.reason and not is_requested:
        reason += f" ({state.reason}{': ' + state.message if state.message else ''})"
    return Decision(
        task=task_id, action="run", reason=reason, attempt=state.attempt + (1 if state.submitted else 0)
    )


def _handlers(schedule: Schedule) -> list[str]:
    return [task.id for task in schedule.spec.tasks if task.handler is not None]


def _for_new_outcome(name: str, state: TaskState) -> Decision:
    """The decision about a handler of an experiment that will have a new outcome."""
    decision = _decide(name, state, is_requested=True)
    if decision.action == "adopt":
        return decision
    reason = "whether it runs depends on the outcome of the experiment"
    return replace(decision, reason=reason)


def _for_same_outcome(name: str, state: TaskState, is_requested: bool) -> Decision:  # noqa: FBT001 - private, one caller
    """The decision about a handler of an experiment that keeps its outcome."""
    if state.reason == Reason.OUTCOME and not is_requested:
        return Decision(task=name, action="keep", reason=state.message or "", attempt=state.attempt)
    return _decide(name, state, is_requested)


def refuse_late(schedule: Schedule, decisions: Sequence[Decision]) -> None:
    """Check that nothing is still alive that must end first, such as a handler of a discarded outcome.

    Raises:
        UsageError: such a handler is alive, or a member that is being stopped, and its leader runs again.
    """
    _refuse_stopping(schedule, decisions)
    handlers = schedule.history.handlers
    late = [
        decision.task for decision in decisions if decision.action == "adopt" and decision.task in handlers
    ]
    if late and any(decision.action != "keep" and decision.task not in handlers for decision in decisions):
        raise UsageError(
            f"handlers of the previous outcome are still alive: {', '.join(late)}",
            hint="wait until they have finished (exp wait), or cancel them first",
        )


def is_pointless(history: ExperimentState, decisions: Sequence[Decision]) -> bool:
    """Whether a resume would change nothing."""
    return history.finished is not None and all(decision.action == "keep" for decision in decisions)
