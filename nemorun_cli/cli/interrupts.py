"""Ctrl-C and SIGTERM as something to look at, in the midst of which nothing is torn."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Counts signals while its block is run; before `is_armed` says so they interrupt as they always do.

    Attributes:
        count: how many came so far.
    """

    def __init__(self, is_armed: Callable[[], bool] = lambda: True) -> None:
        self.count = 0
        self._raises = False
        self._is_armed = is_armed
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """A descriptor that is readable once a signal came, until `clear`."""
        return self._read

    def clear(self) -> None:
        """Make the descriptor wait for the next signal."""
        try:
            os.read(self._read, 512)
        except BlockingIOError:
            return

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """While the block is run a signal is a KeyboardInterrupt, for what cannot look for itself."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _take(self, number: int, frame: object) -> None:
        del number, frame
        if self._raises or not self._is_armed():
            raise KeyboardInterrupt
        self.count += 1
