"""What one holder of the supervisor's lock writes: into the state at once, into the ledger in batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError
from nemorun_cli.model.clock import stamp
from nemorun_cli.storage import state as events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.storage.ledger import Event, Ledger
    from nemorun_cli.storage.state import ExperimentState

DISK_PAUSE: Final = 1.0  # seconds until a failed write is tried again
LONGEST_DISK_PAUSE: Final = 15.0  # the same, after it failed often


class LedgerWriter:
    """A ledger and the state that it adds up to, kept in step.

    Args:
        ledger: where it is written.
        history: the state, which every noted event is applied to at once.
        by: who writes.
        retries_on_full_disk: whether a write that fails is repeated until it succeeds, instead of raising.
        tell: where to say that it refused.
        hear: is told of each event that is noted, before it is written.
    """

    def __init__(
        self,
        ledger: Ledger,
        history: ExperimentState,
        *,
        by: str,
        retries_on_full_disk: bool,
        tell: Callable[[str], None],
        hear: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.ledger, self.history, self.by = ledger, history, by
        self.is_urgent = False  # what is noted must be written before anything is done
        self._insists = retries_on_full_disk
        self._tell = tell
        self._hear = hear
        self._batch: list[Event] = []

    def __bool__(self) -> bool:
        return bool(self._batch)

    def open(self) -> None:
        """Take up the ledger as it stands; what stands there is told, not judged."""
        self.history.strict = False
        self.history.apply_all(self.ledger.news())
        self.history.strict = True

    def note(self, event: str, *, is_urgent: bool = True, **fields: Any) -> None:
        """Put an event into the batch, and into the state at once; fields that are None are left out."""
        entry: Event = {"event": event, "time": stamp(), "by": self.by}
        entry.update((key, value) for key, value in fields.items() if value is not None)
        self.history.apply(entry)
        self._batch.append(entry)
        self._hear(entry)
        self.is_urgent |= is_urgent

    def flush(self) -> None:
        """Write the batch and sync it, and take what others asked for meanwhile.

        Raises:
            LedgerError: it cannot be written, and this journal does not insist, or waiting cannot help.
        """
        batch, self._batch, self.is_urgent = self._batch, [], False
        if not batch:
            return
        pause = DISK_PAUSE
        while True:
            try:
                news = self.ledger.append(batch)
            except (LedgerDamagedError, LedgerNewerError):
                raise
            except LedgerError as error:
                if not self._insists:
                    raise
                self._tell(f"{error}; trying again in {pause:g} s")
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_DISK_PAUSE)
            else:
                self._take(news[: len(news) - len(batch)])
                return

    def take_requests(self) -> None:
        """Take what others appended since the last look."""
        if self.ledger.has_news():
            self._take(self.ledger.news())

    def _take(self, news: Sequence[Event]) -> None:
        """Only requests are for others to make."""
        self.history.apply_all(event for event in news if event["event"] == events.CANCEL_REQUESTED)

    def close(self) -> None:
        """Let the ledger go."""
        self.ledger.close()
