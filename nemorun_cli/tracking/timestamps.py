"""The times of rows: now, given, or that of the thread's last row."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

INHERIT: Final = -1  # ML-Dash's way to say: the time of the row before


class Timestamps(threading.local):
    """The time of the last row of this thread, over all metrics and tracks of an experiment."""

    last: float | None = None

    def take(self, given: float | None) -> float:
        """The Unix time of a row: now for None, that of the thread's last row for -1.

        Raises:
            TypeError: it is no finite number.
        """
        if given is None:
            moment = time.time()
        elif given == INHERIT and self.last is not None:
            return self.last
        elif given == INHERIT:
            moment = time.time()
        else:
            moment = as_moment(given)
        self.last = moment
        return moment


def as_moment(given: object) -> float:
    """A time as Unix seconds.

    Raises:
        TypeError: it is no finite number.
    """
    try:
        moment = float(given)  # type: ignore[arg-type] # what is no number raises, and that is told
    except (TypeError, ValueError):
        raise TypeError(f"_ts is a Unix time in seconds, not {given!r}") from None
    if not math.isfinite(moment):
        raise TypeError(f"_ts is a Unix time in seconds, not {given!r}")
    return moment
