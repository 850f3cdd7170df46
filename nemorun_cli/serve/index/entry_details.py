"""What a server's list adds about an experiment to `exp list`: where it runs, and why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views import sweeps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.views.snapshot import Snapshot

LONGEST: Final = 200  # characters of a description or a message; an experiment's own view has all of it
NOTHING: Final[Mapping[str, Any]] = {
    "description": None,
    "executors": [],
    "failure": None,
    "seconds_left": None,
    "cancelled_by": None,
}


def of_spec(document: Any) -> dict[str, Any]:
    """From a resolved spec: the first line of its description, and its executors."""
    if not isinstance(document, dict):
        return dict(NOTHING)
    shared = document.get("shared")
    parts = [*_list(document.get("tasks")), *(shared.values() if isinstance(shared, dict) else ())]
    names = (part.get("executor") for part in parts if isinstance(part, dict))
    return {
        **NOTHING,
        "description": _line(document.get("description")),
        "executors": list(dict.fromkeys(name for name in names if isinstance(name, str))),
    }


def of_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """From the state of an experiment, in addition: the first failure, the time left, who cancelled."""
    cancel = snapshot.history.cancel
    return {
        "description": _line(snapshot.spec.description),
        "executors": list(dict.fromkeys(task.executor for task in snapshot.spec.tasks)),
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
        "message": _line(state.message),
    }


def _left(snapshot: Snapshot) -> float | None:
    """The estimated seconds until the last sweep ends; None if none has an estimate."""
    if snapshot.is_over:
        return None
    left = (snapshot.sweep(group).seconds_left for group in sweeps.of(snapshot.spec))
    return max((round(seconds, 1) for seconds in left if seconds is not None), default=None)


def _line(text: Any) -> str | None:
    """The first line of a text, shortened; None for what is none."""
    if not isinstance(text, str) or not (lines := text.strip().splitlines()):
        return None
    return lines[0] if len(lines[0]) <= LONGEST else f"{lines[0][: LONGEST - 1]}…"


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
