"""How long an experiment was worked on: the time in which a supervisor or one of its tasks ran.

A pause is the time between two supervisors in which no task ran, for instance the night after a failure. The
end of a supervisor that was killed is not recorded: its last event is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import Reason
from nemorun_cli.storage import events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.storage.events import Event

    Span = tuple[float, float]  # Unix seconds

_WITHOUT_TIME: Final = frozenset(
    {Reason.LOST, Reason.ABANDONED}
)  # ends whose time is that of their discovery


@dataclass(slots=True)
class ActiveTime:
    """The pauses of an experiment, from its events in the order of the ledger.

    Attributes:
        pauses: disjoint spans in which nothing ran, in their order.
        by: the supervisor at work, as an author of events; None if it recorded its end.
    """

    pauses: list[Span] = field(default_factory=list)
    by: str | None = None
    _begin: str | None = None  # of the first supervisor
    _last: str = ""  # the latest event of the current supervisor, or the end of the last one
    _meanwhile: list[Span] = field(default_factory=list)  # attempts whose end others recorded since then
    _end: str | None = None
    _steps: float = 0.0  # seconds by which the clock was set while supervisors ran, as they recorded it

    def note(self, event: Event, started: str | None = None) -> None:
        """Take in an event; `started` is when the attempt began whose end it is."""
        kind, time = event["event"], event["time"]
        if kind == events.SUPERVISOR_STARTED:
            self._close(time)
            self._begin, self.by, self._end = self._begin or time, event.get("by"), None
        is_own = self.by is not None and event.get("by") == self.by
        if is_own and time > self._last:
            self._last = time
        if kind == events.ENDED and started and event.get("reason") not in _WITHOUT_TIME:
            self._note_attempt(started, time, is_own=is_own)
        elif kind == events.SUPERVISOR_ENDED:
            self.by = None
            self._steps += event.get("clock_step") or 0.0
        elif kind == events.FINISHED:
            self._close(time)
            self._end = time
            self._steps += event.get("clock_step") or 0.0

    def _note_attempt(self, started: str, ended: str, *, is_own: bool) -> None:
        if is_own and not self.pauses:
            return  # as usual: reading the times of every attempt would cost more than the rest
        span = unix(started), unix(ended)
        self.pauses = _without(self.pauses, span)
        if not is_own:
            self._meanwhile.append(span)

    def _close(self, time: str) -> None:
        """Begin or end work at `time`; unless a supervisor is at work, a pause ends."""
        if self._begin is not None and time > self._last:
            self.pauses += self._idle(unix(time), self._meanwhile)
        self._last = max(self._last, time)
        self._meanwhile = []

    def _idle(self, until: float, spans: Iterable[Span]) -> list[Span]:
        idle = [(unix(self._last), until)]
        for span in spans:
            idle = _without(idle, span)
        return idle

    def seconds(self, now: float, *, live: Iterable[str] = (), is_supervised: bool) -> float | None:
        """The seconds without pauses until the experiment finished, or until `now`; None if it never began.

        Args:
            now: in Unix seconds.
            live: when each attempt began that still runs.
            is_supervised: whether a supervisor is at work now.
        """
        if self._begin is None:
            return None
        end = now if self._end is None else unix(self._end)
        pauses = list(self.pauses)
        if self._end is None and not is_supervised:
            pauses += self._idle(end, self._meanwhile)
        for started in live if pauses else ():
            pauses = _without(pauses, (unix(started), end))
        return max(0.0, end - unix(self._begin) - _total(pauses) - self._steps)

    def of_attempt(self, started: str, ended: float) -> float:
        """The seconds of an attempt without the pauses of its experiment."""
        begin = unix(started)
        inside = [(max(begin, first), min(ended, last)) for first, last in self.pauses]
        return max(0.0, ended - begin - _total(span for span in inside if span[0] < span[1]))


def _without(spans: Iterable[Span], removed: Span) -> list[Span]:
    """The spans without the time of another one."""
    begin, end = removed
    parts = [part for first, last in spans for part in ((first, min(last, begin)), (max(first, end), last))]
    return [part for part in parts if part[0] < part[1]]


def _total(spans: Iterable[Span]) -> float:
    return sum(last - first for first, last in spans)
