"""Metric patterns, which find numbers in the lines of a task's output."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fields = dict[str, int | float]
    Finder = Callable[[str], Iterator[Fields]]

JSON: Final = "json"  # the pattern for lines that are JSON objects
OVER: Final = frozenset(("step", "epoch"))  # x-axes of the other numbers; not recorded by themselves
MAX_DEPTH: Final = 10  # levels of nesting from which numbers are read

_CONTROL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|.)")


class PatternError(ValueError):
    """A pattern is invalid or names no number; `hint` is the remedy."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def finder(pattern: str) -> Finder:
    """A function that returns the numbers of a line, one row per match of the pattern.

    Raises:
        PatternError: the pattern is not a regular expression, or names no number to record.
    """
    if pattern == JSON:
        return _of_json
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "write a Python regular expression whose named groups are numbers, or the word json"
        raise PatternError(f"is not a regular expression: {error}", hint=hint) from None
    if not any(name not in OVER and not name.startswith("_") for name in compiled.groupindex):
        hint = r"name the number to record, as in loss=(?P<loss>\S+), or write the word json"
        exception = " other than step and epoch" if compiled.groupindex else ""
        raise PatternError(f"names no number to record{exception}", hint=hint)

    names = [name for name in compiled.groupindex if not name.startswith("_")]

    def find(line: str) -> Iterator[Fields]:
        for match in compiled.finditer(line):
            named = match.groupdict()
            row = {name: value for name in names if (value := number(named[name])) is not None}
            if row.keys() - OVER:
                yield row

    return find


def fields(pattern: str) -> list[str]:
    """The fields that a pattern names; an empty one for JSON, whose lines name them."""
    if pattern == JSON:
        return [""]
    try:
        return [name for name in re.compile(pattern).groupindex if name[0] != "_"]
    except (re.error, OverflowError, RecursionError):  # of another version of Python
        return [""]


def is_text(pattern: str, line: str) -> bool:
    """Whether a line matches a pattern that gives no number of it: `loss=0,5`, or JSON without numbers."""
    if pattern == JSON:
        text = line.strip()
        if not (text.startswith("{") and text.endswith("}")):
            return False
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return not dict(_numbers(fields, "", MAX_DEPTH))
    return any(
        any(value and name not in OVER and name[0] != "_" for name, value in match.groupdict().items())
        for match in re.finditer(pattern, line)
    )


def plain(line: str) -> str:
    """The line without terminal escape sequences."""
    return _CONTROL.sub("", line) if "\x1b" in line else line


def number(text: str | None) -> int | float | None:
    """The text as a number, or None if it is not one."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _of_json(line: str) -> Iterator[Fields]:
    """The numbers of a line that is a JSON object; nested numbers have dotted names."""
    text = line.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return
    row = dict(_numbers(fields, "", MAX_DEPTH))
    if row.keys() - OVER:
        yield row


def _numbers(fields: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, int | float]]:
    for key, value in fields.items():
        if not key or key.startswith("_"):
            continue
        if isinstance(value, dict) and depth:
            yield from _numbers(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{prefix}{key}", value
