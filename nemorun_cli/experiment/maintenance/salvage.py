"""Reads what is left of a damaged ledger: intact batches, and complete lines of damaged ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.attempt_end import signal_number
from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.storage import state as kinds
from nemorun_cli.storage.ledger import parse, start_of_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.storage.ledger import Event

# The fields that an event without an intact batch marker must have to be accepted.
_TASK: Final = frozenset({"task", "attempt"})
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    kinds.CREATED: frozenset({"id", "name", "format"}),
    kinds.SUPERVISOR_STARTED: frozenset({"pid", "host"}),
    kinds.SUPERVISOR_ENDED: frozenset(),
    kinds.SUBMITTED: _TASK,
    kinds.QUEUED: _TASK,
    kinds.RETURNED: _TASK,
    kinds.STARTED: _TASK,
    kinds.UNKNOWN: _TASK,
    kinds.ENDED: _TASK | {"status"},
    kinds.RETRIED: _TASK,
    kinds.SKIPPED: frozenset({"task", "reason"}),
    kinds.CANCEL_REQUESTED: frozenset({"by"}),
    kinds.RESUMED: frozenset({"tasks"}),
    kinds.FINISHED: frozenset({"status"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """The readable events of a ledger, in their order.

    Attributes:
        damaged: the numbers of the lines that were changed since they were written.
        unconfirmed: indexes of events from damaged batches, accepted only because of their form.
        torn: bytes of an incomplete batch at the end, which are ignored.
    """

    events: tuple[Event, ...]
    damaged: tuple[int, ...] = ()
    unconfirmed: frozenset[int] = frozenset()
    torn: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    offset: int
    number: int
    entry: Event | None


@dataclass(slots=True)
class _Scan:
    events: list[Event] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    unconfirmed: set[int] = field(default_factory=set)

    def salvage(self, lines: Sequence[_Line]) -> None:
        """Accept the complete events among lines that no intact batch marker closes."""
        bad = [line.number for line in lines if not _is_bookkeeping(line.entry) and not is_event(line.entry)]
        if lines and not bad:
            bad = [lines[-1].number]  # each line looks right, but the batch was changed
        good = [line.entry for line in lines if line.entry is not None and is_event(line.entry)]
        self.unconfirmed |= set(range(len(self.events), len(self.events) + len(good)))
        self.events += good
        self.damaged += bad


def read(data: bytes) -> Salvage:
    """Read the events from the bytes of a ledger, whatever the damage."""
    scan = _Scan()
    loose: list[_Line] = []  # since the last intact marker
    intact = position = number = 0
    while (end := data.find(b"\n", position)) >= 0:
        number += 1
        line = _Line(position, number, parse(data[position:end]))
        entry = line.entry or {}
        if isinstance(entry.get("void"), int):
            scan.salvage([earlier for earlier in loose if earlier.offset < entry["void"]])
            loose, intact = [], end + 1
        elif "mark" in entry and (start := _start(entry, data, position, intact)) is not None:
            scan.salvage([earlier for earlier in loose if earlier.offset < start])
            scan.events += [row.entry for row in loose if row.offset >= start and row.entry is not None]
            loose, intact = [], end + 1
        else:
            loose.append(line)
        position = end + 1
    return Salvage(
        events=tuple(scan.events),
        damaged=tuple(scan.damaged),
        unconfirmed=frozenset(scan.unconfirmed),
        torn=len(data) - intact,
    )


def _start(mark: Event, data: bytes, end: int, intact: int) -> int | None:
    start = start_of_batch(mark, data, end)
    return start if start is not None and start >= intact else None


def _is_bookkeeping(entry: Event | None) -> bool:
    return entry is not None and ("mark" in entry or "void" in entry)


def is_event(entry: Event | None) -> bool:
    """Whether an entry has the form of an event that this version writes, field by field."""
    if entry is None or (needed := _NEEDED.get(str(entry.get("event")))) is None:
        return False
    if not {"time", *needed} <= entry.keys():
        return False
    return all(is_right(entry[name]) for name, is_right in _RIGHT.items() if name in entry) and (
        entry["event"] not in _STATUSES or entry["status"] in _STATUSES[entry["event"]]
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_attempt(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_stamp(value: Any) -> bool:
    try:
        unix(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return False
    return True


def _is_signal(value: Any) -> bool:
    try:
        signal_number(value)
    except (ValueError, AttributeError):
        return False
    return True


def _is_reason(value: Any) -> bool:
    return value in set(Reason)


def _are_tasks(value: Any) -> bool:
    """A list of names (cancel), attempt numbers by name (resume), or a count (creation)."""
    if isinstance(value, list):
        return all(map(_is_text, value))
    return all(map(_is_attempt, value.values())) if isinstance(value, dict) else type(value) is int


# Fields that are not only displayed, and the check of each.
_RIGHT: Final[Mapping[str, Callable[[Any], bool]]] = {
    "time": _is_stamp,
    "not_before": _is_stamp,
    "task": _is_text,
    "attempt": _is_attempt,
    "by": _is_text,
    "id": _is_text,
    "name": _is_text,
    "format": _is_text,
    "host": _is_text,
    "pid": _is_attempt,
    "job_id": _is_text,
    "message": _is_text,
    "evidence": _is_text,
    "reason": _is_reason,
    "exit_code": lambda value: type(value) is int,
    "outputs": lambda value: isinstance(value, dict),
    "grace": _is_number,
    "signal": _is_signal,
    "tasks": _are_tasks,
}
_STATUSES: Final[Mapping[str, frozenset[str]]] = {
    kinds.ENDED: frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED}),
    kinds.FINISHED: frozenset(ExperimentStatus),
}
