"""Slows the start of tasks while this machine lacks what that needs: descriptors, processes, memory, disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from nemorun_cli.system.backoff import Backoff

FIRST_PAUSE: Final = 0.5  # seconds until an executor is tried again
LONGEST_PAUSE: Final = 5.0
STEP: Final = 0.01  # seconds between the tries of an executor that starts tasks again
ENOUGH: Final = 64  # tasks that started at once; after them no limit is needed


@dataclass(slots=True)
class _Recovery:
    """An executor that could not start a task, and how much it is given next.

    Attributes:
        due: the monotonic time of the next try.
        window: how many tasks that try may start.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE))
    due: float = 0.0
    window: int = 1


class Shortages:
    """The executors that lack something now, by name.

    After a pause one task is tried, then twice as many as before each time, until all that wait have started.
    """

    def __init__(self) -> None:
        self._recoveries: dict[str, _Recovery] = {}

    def failed(self, executor: str) -> None:
        """An executor could not start a task: pause, and begin with one."""
        recovery = self._recoveries.setdefault(executor, _Recovery())
        recovery.due = recovery.backoff.due()
        recovery.window = 1

    def started(self, executor: str, count: int) -> None:
        """An executor started so many tasks in one try, and none failed for lack of anything."""
        recovery = self._recoveries.get(executor)
        if recovery is None:
            return
        if count < recovery.window or recovery.window >= ENOUGH:
            del self._recoveries[executor]
            return
        recovery.backoff.reset()
        recovery.window *= 2
        recovery.due = time.monotonic() + STEP

    def allowances(self) -> dict[str, int]:
        """How many tasks may start now, by executor; no limit for one that is not named."""
        now = time.monotonic()
        return {
            name: recovery.window if recovery.due <= now else 0 for name, recovery in self._recoveries.items()
        }

    def due(self) -> float | None:
        """The monotonic time of the next try; None if none is due later."""
        now = time.monotonic()
        return min((one.due for one in self._recoveries.values() if one.due > now), default=None)
