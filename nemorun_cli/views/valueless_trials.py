"""Trials that have no value by which their search could compare them, though they succeeded or run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.search import Outcome, trial_number
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.study_state import StudyState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot


LOST: Final = "its suggestion is lost, so later ones cannot use its result"


def messages(snapshot: Snapshot, names: Collection[str] | None = None) -> Iterator[tuple[str, str]]:
    """Such trials, or those of the named ones, each with the reason."""
    for group in snapshot.spec.groups:
        study = snapshot.history.studies.get(group.id, StudyState())
        for name in group.members if group.search is not None else ():
            message = _message(snapshot.history.tasks[name], study, trial_number(name))
            if message is not None and (names is None or name in names):
                yield name, message


def _message(state: TaskState, study: StudyState, number: int) -> str | None:
    """Why a trial has no value though it could have one; None if it has one, or is not expected to."""
    if state.submitted and number not in study.suggestions:
        return LOST
    result = study.results.get(number)
    if result is None or result.outcome is not Outcome.FAILED or state.status is not TaskStatus.SUCCEEDED:
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
