"""Durations and sizes as specs and options write them, in seconds and bytes."""

from __future__ import annotations

import math
import re

DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII
)
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0)  # seconds in d, h, m, s
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LONGEST = 86_400.0 * 36_500  # seconds; a century, past which clocks and counters give up
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([KMGT])(?:i?B)?", re.ASCII | re.IGNORECASE)
_LETTERS = "KMGT"
_KILO = 1024


def duration(value: float | str) -> float:
    """Seconds of `90s`, `10m`, `2h`, `1d`, `1h30m` or a plain number of seconds.

    Raises ValueError, with a message for people, where it is none of these.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{value!r} is no duration (write 90s, 10m, 2h, 1d, 1h30m or a number of seconds)")
    return seconds


def duration_text(seconds: float) -> str:
    """A duration as short as it can be written so that `duration` reads the same again."""
    if seconds != int(seconds) or not seconds:
        return f"{seconds:g}s"
    rest, parts = int(seconds), []
    for unit, letter in zip(_UNITS, "dhms", strict=True):
        count, rest = divmod(rest, int(unit))
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts)


def size(text: str) -> int:
    """Bytes of `512M`, `4G` or `1.5T`; the letters are powers of 1024, `GB` and `GiB` the same as `G`.

    Raises ValueError, with a message for people, where it is none of these.
    """
    found = _SIZE.fullmatch(text)
    number = round(float(found[1]) * _KILO ** (_LETTERS.index(found[2].upper()) + 1)) if found else 0
    if not number:
        raise ValueError(f"{text!r} is no size (write 512M, 4G, 1.5T)")
    return number


def size_text(count: int) -> str:
    """A number of bytes for people, in the largest unit that leaves something before the point."""
    if count < _KILO:
        return f"{count}B"
    value, letter = float(count), ""
    for letter in _LETTERS:  # noqa: B007 - the last one is used
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
    found = DURATION.fullmatch(value)
    if not value or found is None:
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)
