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
LOOK_EVERY: Final = 0.25  # seconds between checks of the elapsed time


class TooSlowError(Exception):
    """A pattern takes longer than PATIENCE for a line."""


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
