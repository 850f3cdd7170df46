"""The history of an experiment from its ledger: attempts at its tasks, and requests with their author."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import unix
from nemorun_cli.storage import state as kinds
from nemorun_cli.storage.state import ExperimentState, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.model.status import TaskStatus
    from nemorun_cli.storage.ledger import Event
    from nemorun_cli.views.snapshot import Snapshot

# Events of the experiment as a whole, and the subset that a person requested.
STEPS: Final = frozenset(
    {
        kinds.CREATED,
        kinds.SUPERVISOR_STARTED,
        kinds.SUPERVISOR_ENDED,
        kinds.CANCEL_REQUESTED,
        kinds.RESUMED,
        kinds.CONCLUDED,
        kinds.FINISHED,
    }
)
ASKED: Final = frozenset({kinds.CREATED, kinds.CANCEL_REQUESTED, kinds.RESUMED})

# Fields of a task's event that are shown as a label and their value.
_DETAILS: Final = {
    "exit_code": "exit code",
    "job_id": "job",
    "gpus": "GPUs",
    "after": "after",
    "rule": "by retry.on",
    "not_before": "not before",
    "evidence": "known by",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One submitted attempt; `duration` in seconds, until now if it still runs."""

    attempt: int
    status: TaskStatus
    submitted: str | None
    started: str | None
    ended: str | None
    duration: float | None
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
            "message": _details(event) or None,
        }
        for event in events
        if event["event"] in STEPS
    ]


def last_event(events: Sequence[Event], task_id: str, kind: str) -> Event | None:
    """The latest event of this kind about a task, or None."""
    return next(
        (event for event in reversed(events) if event["event"] == kind and event.get("task") == task_id), None
    )


def _attempt(state: TaskState, snapshot: Snapshot) -> PastAttempt:
    duration = None
    if state.started is not None:
        end = unix(state.ended) if state.ended else snapshot.seen
        duration = round(max(0.0, end - unix(state.started)), 3)
    return PastAttempt(
        attempt=state.attempt,
        status=state.status,
        submitted=state.submitted,
        started=state.started,
        ended=state.ended,
        duration=duration,
        exit_code=state.exit_code,
        reason=state.reason,
        message=state.message,
        job_id=state.job_id,
        usage=state.usage,
    )


def describe(event: Event) -> str:
    """The content of an event, except its time, kind and task, in one line for people."""
    if event["event"] in STEPS:
        author = [f"by {event['by']}"] if event["event"] in ASKED and event.get("by") else []
        return ", ".join(part for part in [_details(event), *author] if part)
    parts = [f"attempt {event['attempt']}"] if "attempt" in event else []
    parts += [str(event[key]) for key in ("status", "reason") if event.get(key)]
    for key, label in _DETAILS.items():
        if event.get(key) is not None:
            parts.append(f"{label} {event[key]}")
    if event.get("outputs"):
        parts.append(f"outputs {', '.join(event['outputs'])}")
    if event.get("message"):
        parts.append(str(event["message"]))
    return ", ".join(parts)


def _details(event: Event) -> str:
    """The content of an event of the experiment as a whole, except its kind."""
    kind, parts = event["event"], []
    if kind == kinds.CANCEL_REQUESTED:
        names = event.get("tasks")
        parts.append("all tasks" if names is None else ", ".join(names))
        parts += [f"{word} {event[word]}" for word in ("signal", "grace") if word in event]
        parts += ["abandoning running attempts"] if event.get("abandon") else []
    elif kind == kinds.RESUMED:
        parts.append(f"to run again: {', '.join(event['tasks']) or 'nothing'}")
        parts += [f"with revision {event['revision']} of the spec"] if event.get("revision") else []
    elif kind in (kinds.CONCLUDED, kinds.FINISHED):
        parts.append(event["status"])
    elif kind == kinds.SUPERVISOR_STARTED:
        parts.append(f"pid {event.get('pid')} on {event.get('host')}")
    return ", ".join([*parts, *([event["message"]] if event.get("message") else [])])
