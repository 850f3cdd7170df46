"""Selects the lines of a text that match a pattern: many lines at once wherever the pattern permits it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# A pattern of these parts matches within one line, whatever surrounds it: no part of it can match a newline.
# Classes that are negated, `\s` and the like can; groups that begin with `?` may change what the rest means.
_WITHIN_A_LINE: Final = re.compile(
    r"""(?: [^\\\[\](\x00-\x1f]                                # a character, or an operator
          | \\[dwb.^$*+?{}()|/"'\\\-\[\]]                       # an escape that matches no newline
          | \[ [^\\\[\]^\x00-\x1f] [^\\\[\]\x00-\x1f]* \]       # a class that is not negated
          | \( (?!\?)                                           # a group
        )+""",
    re.VERBOSE,
)
_SPECIAL: Final = frozenset("\\.^$*+?{}[]|()")


def line_filter(pattern: re.Pattern[str] | None) -> Callable[[str], str]:
    """A function that returns the matching ones of the lines of a text, each with its newline.

    The text is lines separated by newlines; each line is searched by itself, as `pattern.search` does.
    """
    if pattern is None:
        return lambda text: f"{text}\n"
    if pattern.flags & ~re.UNICODE:
        return _by_line(pattern)
    if pattern.pattern and not _SPECIAL & set(pattern.pattern) and pattern.pattern.isprintable():
        return _by_literal(pattern.pattern)
    if _WITHIN_A_LINE.fullmatch(pattern.pattern):
        return _by_block(pattern.pattern)
    return _by_line(pattern)


def _by_line(pattern: re.Pattern[str]) -> Callable[[str], str]:
    search = pattern.search
    return lambda text: "".join([f"{line}\n" for line in text.split("\n") if search(line)])


def _by_literal(literal: str) -> Callable[[str], str]:
    def matching(text: str) -> str:
        found, position = [], text.find(literal)
        while position >= 0:
            begin, end = _line_around(text, position)
            found.append(text[begin:end])
            position = text.find(literal, end)
        return _joined(found)

    return matching


def _by_block(pattern: str) -> Callable[[str], str]:
    search = re.compile(pattern, re.MULTILINE).search
    to_line_end = re.compile(f"(?:{pattern}).*\n", re.MULTILINE)  # of each line at most one match
    are_all = True  # whether all lines of the last text matched: then it is likely for the next one

    def matching(text: str) -> str:
        nonlocal are_all
        lines = f"{text}\n"
        if are_all and len(to_line_end.findall(lines)) == lines.count("\n"):
            return lines
        found, match = [], search(text)
        while match is not None:
            begin, end = _line_around(text, match.start())
            found.append(text[begin:end])
            match = search(text, end + 1) if end < len(text) else None
        are_all = len(found) == lines.count("\n")
        return _joined(found)

    return matching


def _line_around(text: str, position: int) -> tuple[int, int]:
    """Where the line at a position begins and ends, without its newline."""
    end = text.find("\n", position)
    return text.rfind("\n", 0, position) + 1, len(text) if end < 0 else end


def _joined(lines: list[str]) -> str:
    return "\n".join([*lines, ""]) if lines else ""
