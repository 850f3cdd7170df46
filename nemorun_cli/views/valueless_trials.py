"""Trials that have no value by which their search could compare them, though they succeeded or run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.search import Outcome, tasks_of_trials, trial_number
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.study_state import StudyState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot


LOST: Final = "its suggestion is lost, so later ones cannot use its result"
_FAULTS: Final = frozenset((TaskStatus.FAILED, TaskStatus.CANCELLED))


def messages(snapshot: Snapshot, names: Collection[str] | None = None) -> Iterator[tuple[str, str]]:
    """Such trials, or those of which tasks are named, each with the reason."""
    wanted = None if names is None else set(names)
    for group in snapshot.spec.groups:
        study = snapshot.history.studies.get(group.id, StudyState())
        trials = tasks_of_trials(group.members) if group.search is not None else {}
        for trial, tasks in trials.items():
            states = [snapshot.history.tasks[name] for name in tasks]
            message = _message(states, study, trial_number(trial))
            if message is not None and (wanted is None or not wanted.isdisjoint((trial, *tasks))):
                yield trial, message


def _message(states: Sequence[TaskState], study: StudyState, number: int) -> str | None:
    """Why a trial has no value though it could have one; None if it has one, or is not expected to."""
    if any(state.submitted for state in states) and number not in study.suggestions:
        return LOST
    result, statuses = study.results.get(number), {state.status for state in states}
    has_succeeded = TaskStatus.SUCCEEDED in statuses and statuses.isdisjoint(_FAULTS)
    if result is None or result.outcome is not Outcome.FAILED or not has_succeeded:
        return None
    return result.message or "it has no value"


def lost(snapshot: Snapshot) -> str | None:
    """One line about the trials whose suggestion a damaged ledger has lost; None without any."""
    names = [name for name, message in messages(snapshot) if message == LOST]
    return warning(snapshot, names) if names else None


def warning(snapshot: Snapshot, names: Collection[str] | None = None) -> str | None:
    """One line about all such trials; None without any."""
    affected = list(messages(snapshot, names))
    if not affected:
        return None
    first, message = affected[0]
    others = len(affected) - 1
    more = f"; so with {others} other trial{'s' if others > 1 else ''}" if others else ""
    return (
        f"warning: {first} has no value for its search: {escaped(message)}{more};"
        f" see: exp why {snapshot.files.id} '{first}'"
    )
