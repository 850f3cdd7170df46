"""Timestamps in files: UTC with milliseconds. Intervals of a living process use the monotonic clock instead.

The wall clock can be set at any moment, in either direction. What a process measures itself must not depend
on it; only a time that another process, or an earlier boot, has left can be compared with it.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final, NamedTuple, Self

LEAST_STEP: Final = 1.0  # seconds by which the clocks must differ to count as a step


def stamp(seconds: float | None = None) -> str:
    """Unix seconds (default: now) as `2026-11-22T03:11:33.120Z`."""
    seconds = time.time() if seconds is None else seconds
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def unix(text: str) -> float:
    """The Unix seconds of a stamp."""
    from datetime import datetime  # noqa: PLC0415 - half of this module's import time, and not always needed

    return datetime.fromisoformat(text).timestamp()


def seconds_between(begin: str, end: str | float) -> float:
    """Seconds from a stamp to another one or to Unix seconds; not below 0, although clocks may differ."""
    return max(0.0, (unix(end) if isinstance(end, str) else end) - unix(begin))


def steady() -> float:
    """Unix seconds as if nobody had set the clock, and the machine had not been suspended, since the start.

    The start is that of this process. Only for what this process measures itself.
    """
    return _START.wall + time.monotonic() - _START.monotonic


def step() -> float | None:
    """Seconds by which the clock was set, or the machine suspended, since this process began; else None."""
    seconds = round(time.time() - steady(), 3)
    return seconds if abs(seconds) >= LEAST_STEP else None


def age(moment: float) -> float:
    """Seconds since a moment, in Unix seconds; a step of the clock can make it smaller, but never larger."""
    return min(time.time(), steady()) - moment


class Moment(NamedTuple):  # no dataclass: these take 7 ms to import, in every program that tracks
    """One moment by both clocks, in seconds."""

    wall: float
    monotonic: float

    @classmethod
    def now(cls) -> Self:
        """This moment."""
        return cls(time.time(), time.monotonic())

    def corrected(self, begin: str, end: float) -> float | None:
        """Seconds between a stamp from about this moment and Unix seconds from about now; None if they agree.

        They do not agree if the clock was set since this moment, or the machine was suspended. If `end` does
        not fit, it is from another clock, such as a file server's, and the present counts instead.
        """
        elapsed = time.monotonic() - self.monotonic
        step = time.time() - self.wall - elapsed
        if abs(step) < LEAST_STEP:
            return None
        seconds = end - step - unix(begin)
        return round(seconds if 0 <= seconds <= elapsed else elapsed, 3)


_START: Final = Moment.now()
