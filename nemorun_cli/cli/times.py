"""Points in time as people read them: relative, local or in UTC; NEMORUN_TIMES selects the form.

Files and JSON always have UTC. On a terminal the default is relative for recent times and local for others;
elsewhere it is UTC, so that scripts get the same text in every time zone.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from nemorun_cli.cli import terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.model.clock import unix

VARIABLE: Final = "NEMORUN_TIMES"
RELATIVE, LOCAL, UTC = FORMS = ("relative", "local", "utc")

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
RECENT: Final = 7 * DAY  # seconds; an earlier time is a date


def form() -> str:
    """How times are shown: `relative`, `local` or `utc`.

    Raises:
        UsageError: NEMORUN_TIMES has another value.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return UTC if terminal.width(sys.stdout) is None else RELATIVE
    if given not in FORMS:
        raise UsageError(f"{VARIABLE}={given}: must be one of {', '.join(FORMS)}")
    return given


def brief(stamp: str | None) -> str:
    """A stamp in a table: `3 min ago`, or `2026-11-22 04:11` if it is not recent; empty for None."""
    if not stamp or form() == UTC:
        return stamp or ""
    return (form() == RELATIVE and _ago(stamp)) or _local(stamp, "%Y-%m-%d %H:%M")


def full(stamp: str | None) -> str:
    """A stamp by itself: `2026-11-22 04:11:33 +01:00, 3 min ago`; empty for None."""
    if not stamp or form() == UTC:
        return stamp or ""
    ago = _ago(stamp) if form() == RELATIVE else ""
    return ", ".join(part for part in (f"{_local(stamp, '%Y-%m-%d %H:%M:%S')} {_offset(stamp)}", ago) if part)


def exact(stamp: str) -> str:
    """A stamp in a sequence of events, with milliseconds: `2026-11-22 04:11:33.120`."""
    if form() == UTC:
        return stamp
    return f"{_local(stamp, '%Y-%m-%d %H:%M:%S')}.{round(unix(stamp) * 1000) % 1000:03d}"


def _ago(stamp: str) -> str:
    """How long ago, in one unit; empty if that is long, or in the future of this machine's clock."""
    seconds = time.time() - unix(stamp)
    if not -1 < seconds < RECENT:
        return ""
    for size, unit in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {'day' if unit == 'days' and count == 1 else unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "just now"


def _local(stamp: str, pattern: str) -> str:
    return time.strftime(pattern, time.localtime(unix(stamp)))


def _offset(stamp: str) -> str:
    """The local offset from UTC at that time: `+01:00`."""
    minutes = time.localtime(unix(stamp)).tm_gmtoff // MINUTE
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
