"""What a server's list adds about an experiment to `exp list`: where it runs, and why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views import list_details, sweeps
from nemorun_cli.views.list_details import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.views.snapshot import Snapshot

NOTHING: Final[Mapping[str, Any]] = {
    "description": None,
    "executors": [],
    "failure": None,
    "seconds_left": None,
    "cancelled_by": None,
}


def of_spec(document: Any) -> dict[str, Any]:
    """From a resolved spec: the first line of its description, and its executors."""
    description = list_details.description(document)
    return {**NOTHING, "description": description, "executors": list_details.executors(document)}


def of_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """From the state of an experiment, in addition: the first failure, the time left, who cancelled."""
    cancel = snapshot.history.cancel
    return {
        "description": first_line(snapshot.spec.description),
        "executors": list(dict.fromkeys(task.executor for task in snapshot.spec.possible_tasks)),
        "failure": _failure(snapshot),
        "seconds_left": _left(snapshot),
        "cancelled_by": None if cancel is None or cancel.reason != "cancelled" else cancel.by,
    }


def _failure(snapshot: Snapshot) -> dict[str, Any] | None:
    """The task that failed first."""
    tasks = snapshot.history.tasks.items()
    failed = [(state.ended or "", name) for name, state in tasks if state.status is TaskStatus.FAILED]
    if not failed:
        return None
    _, name = min(failed)
    state = snapshot.history.tasks[name]
    return {
        "task": name,
        "exit_code": state.exit_code,
        "reason": state.reason,
        "message": first_line(state.message),
    }


def _left(snapshot: Snapshot) -> float | None:
    """The estimated seconds until the last sweep ends; None if none has an estimate."""
    if snapshot.is_over:
        return None
    left = (snapshot.sweep(group).seconds_left for group in sweeps.of(snapshot.spec))
    return max((round(seconds, 1) for seconds in left if seconds is not None), default=None)
