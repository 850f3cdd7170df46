"""The rule by which every executor terminates an attempt: its signal, a grace period, then KILL."""

from __future__ import annotations

import time
from typing import Final

KILL: Final = "KILL"


class Escalation:
    """The termination of one attempt, by whatever means it is signalled.

    Args:
        signal: the short name of the signal that asks the task to end, such as `TERM`.
        grace: seconds from the request to KILL; KILL is repeated until the attempt has ended.

    Attributes:
        signal: that signal.
        deadline: the monotonic time from which KILL is sent.
    """

    __slots__ = ("deadline", "signal")

    def __init__(self, signal: str, grace: float) -> None:
        self.signal = signal
        self.deadline = _deadline(signal, grace)

    def hurry(self, signal: str, grace: float) -> None:
        """Apply another request: its signal is sent from now on, and the earlier of both deadlines counts."""
        self.signal = signal
        self.deadline = min(self.deadline, _deadline(signal, grace))

    @property
    def is_last(self) -> bool:
        """Whether the grace period has ended."""
        return time.monotonic() >= self.deadline

    def next_signal(self) -> str:
        """The short name of the signal to send now."""
        return KILL if self.is_last else self.signal


def _deadline(signal: str, grace: float) -> float:
    return time.monotonic() + (0.0 if signal == KILL else max(0.0, grace))
