"""Timestamps in files: UTC with milliseconds. Waiting uses the monotonic clock instead."""

from __future__ import annotations

import time
from functools import lru_cache


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
