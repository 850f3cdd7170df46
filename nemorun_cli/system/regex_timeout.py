"""A timeout for regular expressions: some take time that is exponential in the length of the line."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 1.0  # seconds that a pattern may take for a line
PATIENCE_IN_ALL: Final = 5.0  # seconds that it may take for the lines that are read at once
MOST_SLOW: Final = 20  # patterns that one process gives up, after which it uses no others
LOOK_EVERY: Final = 0.25  # seconds between checks of the elapsed time


class SearchPatternError(ValueError):
    """The pattern is not a regular expression, or too large for one."""


class TooSlowError(Exception):
    """A pattern takes longer than PATIENCE for a line."""


class SlowPatterns:
    """The patterns that a process has given up: together they may take only a limited time.

    Attributes:
        spent: seconds that each pattern has taken for the lines that are being read.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._given_up: set[str] = set()

    def __contains__(self, pattern: object) -> bool:
        return len(self._given_up) >= MOST_SLOW or pattern in self._given_up

    def spend(self, pattern: str, seconds: float) -> str | None:
        """Count the time of a search; returns why the pattern is given up, or None if it is not."""
        self.spent[pattern] = self.spent.get(pattern, 0.0) + seconds
        if seconds <= PATIENCE and self.spent[pattern] <= PATIENCE_IN_ALL:
            return None
        self._given_up.add(pattern)
        if seconds > PATIENCE:
            return f"more than {PATIENCE:g} s for a line"
        return f"more than {PATIENCE_IN_ALL:g} s in all"


class Watchdog:
    """Interrupts a pattern that takes too long; works only in the main thread, because it uses SIGALRM."""

    def __init__(self) -> None:
        self._since: float | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Limit the time of the block to PATIENCE; raises TooSlowError."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def __enter__(self) -> None:
        self._is_set = threading.current_thread() is threading.main_thread()
        if self._is_set:
            self._handler = signal.signal(signal.SIGALRM, self._check)
            self._timer = signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY, LOOK_EVERY)

    def __exit__(self, *_: object) -> None:
        if self._is_set:
            signal.setitimer(signal.ITIMER_REAL, *self._timer)
            signal.signal(signal.SIGALRM, self._handler)

    def _check(self, number: int, frame: object) -> None:
        del number, frame
        if self._since is not None and time.monotonic() - self._since > PATIENCE:
            self._since = None
            raise TooSlowError
