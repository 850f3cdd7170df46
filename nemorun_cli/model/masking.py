"""Masking of secret values in text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


SHORTEST_MASKED: Final = 6  # characters; masking shorter values would mask half of a log


MASK: Final = "***"


def mask(text: str, values: Iterable[str]) -> str:
    """The text with each value, and each line of a value, of SHORTEST_MASKED or more characters masked."""
    parts = {part for value in values for part in (value, *value.splitlines())}
    for part in sorted(parts, key=len, reverse=True):  # a value that contains another is masked first
        text = text.replace(part, MASK) if len(part) >= SHORTEST_MASKED else text
    return text
