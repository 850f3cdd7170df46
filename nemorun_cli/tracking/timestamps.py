"""The times of rows: the current time, a given time, or that of the thread's last row."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

INHERIT: Final = -1  # ML-Dash's value for the time of the previous row


class Timestamps(threading.local):
    """The time of the last row of this thread, across all metrics and tracks of an experiment."""

    last: float | None = None

    def take(self, given: float | None) -> float:
        """The Unix time of a row: now for None, that of the thread's last row for -1.

        Raises:
            TypeError: it is not a finite number.
        """
        if given is None:
            timestamp = time.time()
        elif given == INHERIT and self.last is not None:
            return self.last
        elif given == INHERIT:
            timestamp = time.time()
        else:
            timestamp = as_moment(given)
        self.last = timestamp
        return timestamp


def as_moment(given: object) -> float:
    """A time as Unix seconds.

    Raises:
        TypeError: it is not a finite number.
    """
    try:
        timestamp = float(given)  # type: ignore[arg-type] # other types raise, which is reported
    except (TypeError, ValueError):
        raise TypeError(f"_ts is a Unix time in seconds, not {given!r}") from None
    if not math.isfinite(timestamp):
        raise TypeError(f"_ts is a Unix time in seconds, not {given!r}")
    return timestamp
