"""Durations and sizes in the notation of specs and options, converted to seconds and bytes."""

from __future__ import annotations

import math
import re

DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII
)
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0)  # seconds in d, h, m, s
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LONGEST = 86_400.0 * 36_500  # seconds; a century, beyond which clocks and counters overflow
SHORTEST_SAMPLING = 1.0  # seconds between samples of a task
DEFAULT_SAMPLING = 30.0  # seconds, where a spec gives no number of them
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([KMGT])(?:i?B)?", re.ASCII | re.IGNORECASE)
_LETTERS = "KMGT"
_KILO = 1024


def duration(value: float | str) -> float:
    """Seconds of `90s`, `10m`, `2h`, `1d`, `1h30m` or a plain number of seconds.

    Raises ValueError, with a message for the user, for anything else.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= _LONGEST:
        raise ValueError(
            f"{value!r} is not a duration (write 90s, 10m, 2h, 1d, 1h30m or a number of seconds)"
        )
    return seconds


def timeout(value: float | str) -> float:
    """Like `duration`, for a limit: 0 is refused, because it could mean no limit as well as no time."""
    seconds = duration(value)
    if not seconds:
        raise ValueError(
            "must be longer than 0; for no limit, leave the key out, or write a long one, such as 365d, "
            "where `defaults`, a group or a handler has a limit"
        )
    return seconds


def sampling(value: float | str | bool) -> float | None:  # noqa: FBT001 - a value of a spec
    """Seconds between samples, None for no samples; true means 30 s.

    Raises ValueError, with a message for the user, if it is no duration or shorter than 1 s.
    """
    if isinstance(value, bool):
        return DEFAULT_SAMPLING if value else None
    seconds = duration(value)
    if seconds < SHORTEST_SAMPLING:
        raise ValueError(f"must be at least {duration_text(SHORTEST_SAMPLING)}, not {value}")
    return seconds


def duration_text(seconds: float) -> str:
    """The shortest text from which `duration` reads the same value."""
    if seconds != int(seconds) or not seconds:
        return f"{seconds:g}s"
    rest, parts = int(seconds), []
    for unit, letter in zip(_UNITS, "dhms", strict=True):
        count, rest = divmod(rest, int(unit))
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts)


def size(text: str) -> int:
    """Bytes of `512M`, `4G` or `1.5T`; the letters are powers of 1024, and `GB` and `GiB` mean `G`.

    Raises ValueError, with a message for the user, for anything else.
    """
    match = _SIZE.fullmatch(text)
    number = round(float(match[1]) * _KILO ** (_LETTERS.index(match[2].upper()) + 1)) if match else 0
    if not number:
        raise ValueError(f"{text!r} is not a size (write 512M, 4G, 1.5T)")
    return number


def size_text(count: int) -> str:
    """A number of bytes as text, in the largest unit in which it is at least 1."""
    if count < _KILO:
        return f"{count}B"
    value, letter = float(count), ""
    for letter in _LETTERS:  # noqa: B007 - used after the loop
        value /= _KILO
        if value < _KILO:
            break
    return f"{value:.0f}{letter}" if value >= 100 else f"{value:.3g}{letter}"  # noqa: PLR2004 - digits shown


def _seconds(value: float | str) -> float | None:
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return float(value) if math.isfinite(value) else None
    if _SECONDS.fullmatch(value):
        return float(value)
    match = DURATION.fullmatch(value)
    if not value or match is None:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
