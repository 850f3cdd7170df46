"""Search for the patterns of `retry.on` at the end of a failed task's output."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.system.file_end import last_bytes
from nemorun_cli.system.files import open_to_read
from nemorun_cli.system.regex_timeout import PATIENCE, TooSlowError, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WINDOW: Final = 1 << 16  # bytes that are searched at the end of an output
LONGEST: Final = 1 << 14  # bytes that are searched of a line


class SearchPatternError(ValueError):
    """The pattern is not a regular expression."""


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern.

    Raises:
        SearchPatternError: it is not a regular expression.
    """
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise SearchPatternError(f"is not a regular expression: {error}") from None


def found(
    log: Path, patterns: Sequence[str], *, report: Callable[[str], None], inside: Path | None = None
) -> str | None:
    """The first pattern that matches in a line at the end of an output; None if none does.

    A pattern that takes too long is skipped, and `report` receives a message. A log that cannot be read
    has no match; nor has one that is a link, or is behind one in its path below `inside`.
    """
    try:
        with open_to_read(log, follows_link=False, inside=inside) as stream:
            data, _ = last_bytes(stream.fileno(), WINDOW)
    except OSError:
        return None
    lines = [
        metric_patterns.plain(line[:LONGEST].decode("utf-8", errors="replace"))
        for line in data.replace(b"\r", b"\n").split(b"\n")
    ]
    watchdog = Watchdog()
    with watchdog:
        for pattern in patterns:
            search = compiled(pattern).search
            try:
                for line in lines:
                    with watchdog.watching():
                        if search(line):
                            return pattern
            except TooSlowError:
                report(
                    f"the pattern {pattern!r} of retry.on took more than {PATIENCE:g} s for a line: skipped"
                )
    return None
