"""Reads what is left of a damaged ledger: intact batches, and complete lines of damaged ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import parse, start_of_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.storage.events import Event


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

    def accept(self, lines: Sequence[_Line]) -> None:
        """Accept the events of an intact batch, except those that no reader can use."""
        for line in lines:
            if line.entry is not None and events.flaw(line.entry) is None:
                self.events.append(line.entry)
            else:
                self.damaged.append(line.number)

    def salvage(self, lines: Sequence[_Line]) -> None:
        """Accept the complete events among lines that no intact batch marker closes."""
        bad = [
            line.number
            for line in lines
            if not _is_bookkeeping(line.entry) and not events.is_valid(line.entry)
        ]
        if lines and not bad:
            bad = [lines[-1].number]  # each line looks right, but the batch was changed
        good = [line.entry for line in lines if line.entry is not None and events.is_valid(line.entry)]
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
            scan.accept([row for row in loose if row.offset >= start])
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
