"""Hiding the values of secrets in text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


SHORTEST_MASKED: Final = 6  # characters; hiding shorter values would hide half of a log


MASK: Final = "***"


def mask(text: str, values: Iterable[str]) -> str:
    """The text with each value of six characters and more hidden, values of several lines line by line."""
    parts = {part for value in values for part in (value, *value.splitlines())}
    for part in sorted(parts, key=len, reverse=True):  # one that holds another goes first
        text = text.replace(part, MASK) if len(part) >= SHORTEST_MASKED else text
    return text
