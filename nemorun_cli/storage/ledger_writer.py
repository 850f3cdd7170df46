"""The ledger's writer, for the holder of the supervisor's lock: applies events at once, writes in batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError
from nemorun_cli.model.bounded_text import bounded
from nemorun_cli.model.clock import stamp
from nemorun_cli.storage import events
from nemorun_cli.system import signals
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.ledger import Ledger
    from nemorun_cli.storage.state import ExperimentState

DISK_PAUSE: Final = 1.0  # seconds until a failed write is repeated the first time
LONGEST_DISK_PAUSE: Final = 15.0  # the longest pause, in seconds; each failure doubles it


class LedgerWriter:
    """A ledger and the state folded from it, kept in step.

    Args:
        ledger: the ledger to write.
        history: the state, to which every noted event is applied at once.
        by: the writer's name, stored in each event.
        report: receives a message when a write fails and will be repeated.
        on_event: receives each noted event before it is written.
        secrets: the values that are masked in each event, before anything uses or writes it.

    Attributes:
        keeps_failed: whether a batch that cannot be written is kept, to be written by a later `flush`,
            instead of raising.
        problem: why the batch cannot be written now; None if the last write succeeded.
        due: the monotonic time from which `flush` tries again; None if nothing failed.
    """

    def __init__(
        self,
        ledger: Ledger,
        history: ExperimentState,
        *,
        by: str,
        report: Callable[[str], None],
        on_event: Callable[[Event], None] = lambda _: None,
        secrets: Iterable[str] = (),
    ) -> None:
        self.ledger, self.history, self.by = ledger, history, by
        self.is_urgent = False  # the batch must be written before the writer acts on it
        self.keeps_failed = False
        self.problem: str | None = None
        self.due: float | None = None
        self._pauses = Backoff(first=DISK_PAUSE, longest=LONGEST_DISK_PAUSE)
        self._report = report
        self._on_event = on_event
        self._secrets = frozenset(secrets)
        self._batch: list[Event] = []

    def __bool__(self) -> bool:
        return bool(self._batch)

    def open(self) -> None:
        """Apply the existing events of the ledger to the state; illegal moves among them do not raise."""
        self.history.strict = False
        self.history.apply_all(self.ledger.news())
        self.history.strict = True

    def note(self, event: str, *, is_urgent: bool = True, **fields: Any) -> None:
        """Add an event to the batch and apply it to the state at once; fields that are None are left out."""
        entry: Event = {"event": event, "time": stamp(), "by": self.by}
        entry.update((key, value) for key, value in fields.items() if value is not None)
        if self._secrets:
            entry = events.masked(entry, self._secrets)
        if "message" in entry:
            entry["message"] = bounded(entry["message"])
        self.history.apply(entry)
        self._batch.append(entry)
        self._on_event(entry)
        self.is_urgent |= is_urgent

    def flush(self) -> None:
        """Write the batch, sync it, and apply the requests that others appended meanwhile.

        With `keeps_failed`, this returns at once if the write fails, and if the next try is not due yet.

        Raises:
            LedgerError: the write failed, and `keeps_failed` is off or a later try cannot succeed.
        """
        if not self._batch or (self.keeps_failed and self.due is not None and time.monotonic() < self.due):
            return
        # A supervisor's handler that raises after the write would have the batch written again at its end.
        with signals.deferred():
            self._flush()

    def _flush(self) -> None:
        try:
            news = self.ledger.append(self._batch)
        except (LedgerDamagedError, LedgerNewerError):
            raise
        except LedgerError as error:
            if not self.keeps_failed:
                raise
            pause = self._pauses.next()
            self.problem, self.due = error.message, time.monotonic() + pause
            self._report(f"{error}; the next try is in {pause:g} s")
        else:
            own, self._batch, self.is_urgent = len(self._batch), [], False
            self.problem = self.due = None
            self._pauses.reset()
            self._apply_requests(news[: len(news) - own])

    def take_requests(self) -> None:
        """Apply the requests that others have appended since the last read."""
        if self.ledger.has_news():
            self._apply_requests(self.ledger.news())

    def _apply_requests(self, news: Sequence[Event]) -> None:
        """Apply what any process may append: cancel requests, tags and notes; nothing else is used."""
        self.history.apply_all(event for event in news if event["event"] in events.OPEN)

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()
