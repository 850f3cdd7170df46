"""Trials that succeeded and yet have no value by which their search could compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.search import Outcome, tasks_of_trials, trial_number
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from nemorun_cli.views.snapshot import Snapshot


_FAULTS: Final = frozenset((TaskStatus.FAILED, TaskStatus.CANCELLED))


def messages(snapshot: Snapshot, names: AbstractSet[str] | None = None) -> Iterator[tuple[str, str]]:
    """Such trials, or those of the named ones, each with the reason."""
    for group in snapshot.spec.groups:
        study = snapshot.history.studies.get(group.id)
        if group.search is None or study is None:
            continue
        for trial, tasks in tasks_of_trials(group.members).items():
            result = study.results.get(trial_number(trial))
            statuses = {snapshot.history.tasks[name].status for name in tasks}
            has_succeeded = TaskStatus.SUCCEEDED in statuses and statuses.isdisjoint(_FAULTS)
            if result is None or result.outcome is not Outcome.FAILED or not has_succeeded:
                continue
            if names is None or not names.isdisjoint(tasks):
                yield trial, result.message or "it has no value"


def warning(snapshot: Snapshot, names: AbstractSet[str] | None = None) -> str | None:
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
