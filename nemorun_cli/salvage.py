"""What can still be read of a damaged ledger: its intact batches, and whole lines of those that are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli import history as kinds
from nemorun_cli.clock import unix
from nemorun_cli.ledger import parse, start_of_batch
from nemorun_cli.states import ExperimentStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.ledger import Event

# What an event must hold to be believed where no marker vouches for it.
_TASK: Final[Mapping[str, type]] = {"task": str, "attempt": int}
_FORMS: Final[Mapping[str, Mapping[str, type]]] = {
    kinds.CREATED: {"id": str, "name": str, "format": str},
    kinds.SUPERVISOR_STARTED: {"pid": int, "host": str},
    kinds.SUPERVISOR_ENDED: {},
    kinds.SUBMITTED: _TASK,
    kinds.QUEUED: _TASK,
    kinds.STARTED: _TASK,
    kinds.UNKNOWN: _TASK,
    kinds.ENDED: {**_TASK, "status": str},
    kinds.RETRIED: _TASK,
    kinds.SKIPPED: {"task": str, "reason": str},
    kinds.CANCEL_REQUESTED: {"by": str},
    kinds.RESUMED: {"tasks": dict},
    kinds.FINISHED: {"status": str},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """The events of a ledger as far as they can be had, in their order.

    Attributes:
        damaged: the numbers of the lines that are not what was written.
        doubtful: how many events stand in damaged batches, so that only their form speaks for them.
        torn: bytes at the end that were never completed, and count for nothing.
    """

    events: tuple[Event, ...]
    damaged: tuple[int, ...] = ()
    doubtful: int = 0
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
    doubtful: int = 0

    def salvage(self, lines: Sequence[_Line]) -> None:
        """Take what is whole of lines that no intact marker closes."""
        bad = [line.number for line in lines if not _is_bookkeeping(line.entry) and not is_event(line.entry)]
        if lines and not bad:
            bad = [lines[-1].number]  # each line could be right, and yet they are not what was written
        good = [line.entry for line in lines if line.entry is not None and is_event(line.entry)]
        self.events += good
        self.doubtful += len(good)
        self.damaged += bad


def read(data: bytes) -> Salvage:
    """What the bytes of a ledger still tell, whatever happened to them."""
    scan = _Scan()
    loose: list[_Line] = []  # since the last intact marker
    intact = position = number = 0
    while (end := data.find(b"\n", position)) >= 0:
        number += 1
        line = _Line(position, number, parse(data[position:end]))
        entry = line.entry or {}
        if isinstance(entry.get("void"), int):
            scan.salvage([one for one in loose if one.offset < entry["void"]])
            loose, intact = [], end + 1
        elif "mark" in entry and (start := _start(entry, data, position, intact)) is not None:
            scan.salvage([one for one in loose if one.offset < start])
            scan.events += [one.entry for one in loose if one.offset >= start and one.entry is not None]
            loose, intact = [], end + 1
        else:
            loose.append(line)
        position = end + 1
    return Salvage(
        events=tuple(scan.events),
        damaged=tuple(scan.damaged),
        doubtful=scan.doubtful,
        torn=len(data) - intact,
    )


def _start(mark: Event, data: bytes, end: int, intact: int) -> int | None:
    start = start_of_batch(mark, data, end)
    return start if start is not None and start >= intact else None


def _is_bookkeeping(entry: Event | None) -> bool:
    return entry is not None and ("mark" in entry or "void" in entry)


def is_event(entry: Event | None) -> bool:
    """Whether an entry has the form of an event that this version writes."""
    form = _FORMS.get(str(entry.get("event"))) if entry is not None else None
    if (
        entry is None
        or form is None
        or not all(isinstance(entry.get(key), kind) for key, kind in form.items())
    ):
        return False
    try:
        unix(entry["time"])
    except (KeyError, ValueError, AttributeError):
        return False
    if entry["event"] == kinds.ENDED:
        return entry["status"] in set(TaskStatus)
    if entry["event"] == kinds.FINISHED:
        return entry["status"] in set(ExperimentStatus)
    return True
