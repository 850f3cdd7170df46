"""What the end of an output says of a failure: the patterns of `retry.on`."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.system.regex_timeout import PATIENCE, TooSlowError, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WINDOW: Final = 1 << 16  # bytes at the end of an output that are looked at
LONGEST: Final = 1 << 14  # bytes of a line that are looked at


class SearchPatternError(ValueError):
    """What was given is no regular expression."""


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, ready to search.

    Raises:
        PatternError: it is no regular expression.
    """
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise SearchPatternError(f"is no regular expression: {error}") from None


def found(log: Path, wanted: Sequence[str], *, tell: Callable[[str], None]) -> str | None:
    """The first of the patterns that fits in a line at the end of an output; None if none does.

    A pattern that takes too long is told and given up. What cannot be read says nothing.
    """
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - WINDOW))
            data = stream.read(WINDOW)
    except OSError:
        return None
    lines = [
        metric_patterns.plain(line[:LONGEST].decode("utf-8", errors="replace"))
        for line in data.replace(b"\r", b"\n").split(b"\n")
    ]
    watchdog = Watchdog()
    with watchdog:
        for pattern in wanted:
            search = compiled(pattern).search
            try:
                for line in lines:
                    with watchdog.watching():
                        if search(line):
                            return pattern
            except TooSlowError:
                tell(
                    f"the pattern {pattern!r} of retry.on needs more than {PATIENCE:g} s for a line: given up"
                )
    return None
