"""Patterns of metrics: what finds numbers in a line that a task wrote."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fields = dict[str, int | float]
    Finder = Callable[[str], Iterator[Fields]]

JSON: Final = "json"  # the pattern that stands for lines which are JSON objects
OVER: Final = frozenset(("step", "epoch"))  # what numbers are recorded over; alone they say nothing
MAX_DEPTH: Final = 10  # levels of nesting whose numbers are taken

_CONTROL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|.)")


class PatternError(ValueError):
    """A pattern that finds nothing; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def finder(pattern: str) -> Finder:
    """What gives the numbers of a line, a row each time that the pattern fits.

    Raises:
        PatternError: it is no regular expression, or names nothing to record.
    """
    if pattern == JSON:
        return _of_json
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "it is a regular expression of Python in which named groups are numbers, or the word json"
        raise PatternError(f"is no regular expression: {error}", hint=hint) from None
    if not any(name not in OVER and not name.startswith("_") for name in compiled.groupindex):
        hint = r"name what is to be recorded, as in loss=(?P<loss>\S+), or write the word json"
        what = "only names what to record it over" if compiled.groupindex else "names no number to record"
        raise PatternError(what, hint=hint)

    names = [name for name in compiled.groupindex if not name.startswith("_")]

    def find(line: str) -> Iterator[Fields]:
        for match in compiled.finditer(line):
            named = match.groupdict()
            row = {name: value for name in names if (value := number(named[name])) is not None}
            if row.keys() - OVER:
                yield row

    return find


def plain(line: str) -> str:
    """The line without what colours it on a terminal."""
    return _CONTROL.sub("", line) if "\x1b" in line else line


def number(text: str | None) -> int | float | None:
    """The number that a text is, or None."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _of_json(line: str) -> Iterator[Fields]:
    """The numbers of a line that is a JSON object; nested ones under dotted names."""
    text = line.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    row = dict(_numbers(found, "", MAX_DEPTH))
    if row.keys() - OVER:
        yield row


def _numbers(found: dict[str, Any], above: str, depth: int) -> Iterator[tuple[str, int | float]]:
    for key, value in found.items():
        if key.startswith("_"):
            continue
        if isinstance(value, dict) and depth:
            yield from _numbers(value, f"{above}{key}.", depth - 1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{above}{key}", value
