"""`exp.timeline/1`: when the attempts of an experiment waited and ran, and the facts next to its status."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage import events as kinds
from nemorun_cli.views import log_excerpt, timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from nemorun_cli.model.spec import Task
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.views.snapshot import Snapshot
    from nemorun_cli.views.timeline import PastAttempt

FORMAT: Final = "exp.timeline/1"
MOST_ERRORS: Final = 1_000  # logs of failed tasks that are read for one document
MOST_KEPT: Final = 10_000  # errors of ended attempts that are kept in memory


def document(
    snapshot: Snapshot, events: Sequence[Event], *, records: int, secrets: Collection[str]
) -> dict[str, Any]:
    """The document.

    Args:
        snapshot: the current state of the experiment.
        events: all events of its ledger.
        records: how many records its tasks wrote.
        secrets: values to mask in lines of logs.
    """
    waits = _Waits(snapshot, events)
    spec, created = snapshot.spec, snapshot.history.created
    first = next((event for event in events if event["event"] == kinds.SUPERVISOR_STARTED), None) or {}
    return {
        "schema": FORMAT,
        "id": snapshot.files.id,
        "seen": stamp(snapshot.seen),
        "created_by": created.get("by"),
        "host": first.get("host"),
        "rerun_of": created.get("rerun_of"),
        "revision": spec.revision,
        "max_parallel": spec.run.max_parallel,
        "events": len(events),
        "records": records,
        "tasks": [
            {
                "id": task.id,
                "waits_since": waits.of_next(task),
                "error": error,
                "streams": _streams(snapshot, task),
                "attempts": waits.of_attempts(task),
            }
            for task, error in zip(snapshot.tasks, _errors(snapshot, secrets), strict=True)
        ],
    }


class _Waits:
    """Since when attempts could have started."""

    def __init__(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._snapshot = snapshot
        self._past = timeline.attempts(snapshot, events)
        self._resumed = [event["time"] for event in events if event["event"] == kinds.RESUMED]
        concluded = [event["time"] for event in events if event["event"] == kinds.CONCLUDED]
        self._concluded: str | None = concluded[-1] if concluded else None

    def of_attempts(self, task: Task) -> list[dict[str, Any]]:
        past = self._past[task.id]
        return [
            {
                "attempt": each.attempt,
                "status": each.status,
                "waits_since": self._since(task, past[:index], before=each.submitted),
                "submitted": each.submitted,
                "started": each.started,
                "ended": each.ended,
            }
            for index, each in enumerate(past)
        ]

    def of_next(self, task: Task) -> str | None:
        """Since when a PENDING task waits for its next attempt; None while it waits for other tasks."""
        states = self._snapshot.history.tasks
        if states[task.id].status is not TaskStatus.PENDING or self._snapshot.is_over:
            return None
        if not all(states[name].is_over for name in task.dependencies):
            return None
        if task.handler is not None and self._snapshot.history.outcome is None:
            return None
        return self._since(task, self._past[task.id], before=None)

    def _since(self, task: Task, past: Sequence[PastAttempt], *, before: str | None) -> str | None:
        times = [
            self._snapshot.history.started,
            *(each for each in self._resumed if not before or each <= before),
        ]
        if task.handler is not None:
            times.append(self._concluded)
        if past:
            times.append(past[-1].ended)
        else:
            times += [self._snapshot.history.tasks[name].ended for name in task.dependencies]
        known = [each for each in times if each and (before is None or each <= before)]
        return max(known, default=None)


def _streams(snapshot: Snapshot, task: Task) -> list[str]:
    """What the output of its latest attempt is written to, as the parameter `stream` of its log names it."""
    state = snapshot.history.tasks[task.id]
    if not state.submitted:
        return []
    files = snapshot.files.attempt(task.id, state.attempt)
    apart = [] if task.stderr_to_stdout else ["stderr"]
    return ["log", *apart, *(["backend-output"] if files.backend_output.exists() else [])]


_kept: Final[dict[tuple[Path, int], str | None]] = {}
_keeping: Final = threading.Lock()


def _errors(snapshot: Snapshot, secrets: Collection[str]) -> list[str | None]:
    """For each task the line of its log that most likely shows the error; None if it is not FAILED."""
    errors: list[str | None] = []
    left = MOST_ERRORS
    for task in snapshot.spec.tasks:
        state = snapshot.history.tasks[task.id]
        is_read = state.status is TaskStatus.FAILED and bool(state.submitted) and left > 0
        left -= is_read
        files = snapshot.files.attempt(task.id, state.attempt) if is_read else None
        errors.append(None if files is None else _error(files, state.attempt, secrets))
    return errors


def _error(files: AttemptFiles, attempt: int, secrets: Collection[str]) -> str | None:
    """The error in the log of an attempt that ended, which is read once."""
    key = (files.directory, attempt)
    if key in _kept:
        return _kept[key]
    excerpt = log_excerpt.of_attempt(files, secrets=secrets)
    if excerpt is None:
        return None  # it may still arrive
    with _keeping:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = excerpt.error
    return excerpt.error
