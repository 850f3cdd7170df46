"""An end for patterns that take too long: some need a time that is exponential in the line."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 1.0  # seconds that one line may take; a pattern that needs more is given up
LOOK_EVERY: Final = 0.25  # seconds between looks whether one does


class TooSlowError(Exception):
    """A pattern does not come to an end."""


class Watchdog:
    """Interrupts a pattern that takes too long, in the main thread, where that is possible."""

    def __init__(self) -> None:
        self._since: float | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """A time that may not get too long. Raises TooSlowError."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def __enter__(self) -> None:
        self._is_set = threading.current_thread() is threading.main_thread()
        if self._is_set:
            self._handler = signal.signal(signal.SIGALRM, self._look)
            self._timer = signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY, LOOK_EVERY)

    def __exit__(self, *_: object) -> None:
        if self._is_set:
            signal.setitimer(signal.ITIMER_REAL, *self._timer)
            signal.signal(signal.SIGALRM, self._handler)

    def _look(self, number: int, frame: object) -> None:
        del number, frame
        if self._since is not None and time.monotonic() - self._since > PATIENCE:
            self._since = None
            raise TooSlowError
