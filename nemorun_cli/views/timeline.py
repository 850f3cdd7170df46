"""The history of an experiment from its ledger: attempts at its tasks, and requests with their author."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.state import ExperimentState, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.model.status import TaskStatus
    from nemorun_cli.storage.events import Event
    from nemorun_cli.views.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One submitted attempt.

    Attributes:
        duration: in seconds, until now if it still runs.
        active: the same without pauses.
    """

    attempt: int
    status: TaskStatus
    submitted: str | None
    started: str | None
    ended: str | None
    duration: float | None
    active: float | None
    exit_code: int | None
    reason: str | None
    message: str | None
    job_id: str | None
    usage: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """An entry of `attempts` in `exp.show/1` and `exp.why/1`."""
        return asdict(self)


def attempts(snapshot: Snapshot, events: Iterable[Event]) -> dict[str, list[PastAttempt]]:
    """All attempts at each task, in order; the current attempts are taken from the snapshot."""
    history = ExperimentState.of(snapshot.spec)
    by_task: dict[str, dict[int, PastAttempt]] = {name: {} for name in history.tasks}
    for event in events:
        history.apply(event)
        name = event.get("task")
        state = history.tasks.get(name) if isinstance(name, str) else None
        if state is not None and state.submitted:
            by_task[str(name)][state.attempt] = _attempt(state, snapshot)
    for name, state in snapshot.history.tasks.items():
        if state.submitted:
            by_task[name][state.attempt] = _attempt(state, snapshot)
    return {name: [entries[number] for number in sorted(entries)] for name, entries in by_task.items()}


def steps(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events of the experiment as a whole, with their authors; entries of `steps` in `exp.show/1`."""
    return [
        {
            "time": event["time"],
            "event": event["event"],
            "by": event.get("by"),
            "message": kinds.summary(event) or None,
        }
        for event in events
        if (kind := kinds.KINDS.get(event["event"])) and not kind.is_of_task
    ]


def _attempt(state: TaskState, snapshot: Snapshot) -> PastAttempt:
    return PastAttempt(
        attempt=state.attempt,
        status=state.status,
        submitted=state.submitted,
        started=state.started,
        ended=state.ended,
        duration=snapshot.duration(state),
        active=snapshot.active_duration(state),
        exit_code=state.exit_code,
        reason=state.reason,
        message=state.message,
        job_id=state.job_id,
        usage=state.usage,
    )
