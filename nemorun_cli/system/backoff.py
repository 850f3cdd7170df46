"""Pauses between tries that grow as long as the tries fail."""

from __future__ import annotations

import time


class Backoff:
    """The pauses between the tries of one thing.

    Args:
        first: the first pause, in seconds.
        longest: the longest pause, in seconds.
        growth: the factor from one pause to the next.
    """

    __slots__ = ("_first", "_growth", "_longest", "_pause")

    def __init__(self, *, first: float, longest: float, growth: float = 2.0) -> None:
        self._first, self._longest, self._growth = first, longest, growth
        self._pause = first

    def next(self) -> float:
        """The pause until the next try, in seconds; the one after it is longer."""
        pause, self._pause = self._pause, min(self._longest, self._pause * self._growth)
        return pause

    def due(self) -> float:
        """The monotonic time of the next try, after the next pause."""
        return time.monotonic() + self.next()

    def reset(self) -> None:
        """Begin with the first pause again, because a try succeeded or there is something new."""
        self._pause = self._first

    def shorten(self, seconds: float) -> None:
        """Let the next pause be at most so long."""
        self._pause = min(self._pause, seconds)
