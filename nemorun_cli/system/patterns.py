"""Searches for a regular expression of a spec: read as Python's `re` reads it, with a limit of time.

A search with `re` can be interrupted only in the main thread, and one with `regex` anywhere. `regex` reads
some patterns differently, and repeats a part with a count so many times when it compiles.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from nemorun_cli.system.regex_timeout import PATIENCE, SearchPatternError, TooSlowError

if TYPE_CHECKING:
    import regex

LONGEST: Final = 10_000  # characters of a pattern
MOST_PARTS: Final = 50_000  # of a pattern, in which each counted part is repeated

_COUNT: Final = re.compile(r"\{(?!,?\})(\d*)(?:,\d*)?\}|\{(,)\}", re.ASCII)
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_VERBOSE_GROUP: Final = re.compile(r"\(\?[aimsu]*x[aimsux]*(?:-[imsx]+)?:")


@lru_cache(maxsize=64)
def compiled(pattern: str) -> regex.Pattern[str]:
    """The compiled pattern.

    Raises:
        SearchPatternError: it is not a regular expression.
    """
    check_length(pattern)
    import regex  # noqa: PLC0415 - few specs have patterns

    try:
        is_verbose = bool(re.compile(pattern).flags & re.VERBOSE)
        translation = _Translation(pattern, is_verbose=is_verbose)
        if translation.parts > MOST_PARTS:
            raise SearchPatternError(f"is larger than {MOST_PARTS:,} characters with its repetitions")
        return regex.compile(translation.text, regex.VERSION0)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise SearchPatternError(f"is not a regular expression: {error}") from None


def check_length(pattern: str) -> None:
    """Refuse a pattern that would take long to compile; raises SearchPatternError."""
    if len(pattern) > LONGEST:
        raise SearchPatternError(f"is longer than {LONGEST:,} characters")


def matches(pattern: str, text: str, *, seconds: float = PATIENCE) -> bool:
    """Whether the pattern matches anywhere in the text.

    Raises:
        SearchPatternError: it is not a regular expression.
        TooSlowError: the search takes longer than `seconds`.
    """
    try:
        return compiled(pattern).search(text, timeout=seconds) is not None
    except TimeoutError:
        raise TooSlowError from None


class _Translation:
    """A pattern of `re` as one of `regex`: a brace that is no count, and `[` within a class, are literal.

    Attributes:
        text: the pattern for `regex`.
        parts: how many parts it has, when each counted part is repeated.
    """

    def __init__(self, pattern: str, *, is_verbose: bool) -> None:
        if not is_verbose and _VERBOSE_GROUP.search(pattern):
            raise SearchPatternError("has a group (?x: …); write (?x) at the beginning of the pattern")
        self.text, self._pattern, self._is_verbose = "", pattern, is_verbose
        self._sums = [0]  # parts so far, of each open group
        self._last = 0  # parts of the last one
        position = 0
        while position < len(pattern):
            position = self._next(position)
        self.parts = sum(self._sums)

    def _next(self, start: int) -> int:
        """Translate what begins at a position; returns its end."""
        char = self._pattern[start]
        is_comment = (char == "#" and self._is_verbose) or self._pattern.startswith("(?#", start)
        if is_comment:
            end = self._pattern.find("\n" if char == "#" else ")", start)
            return len(self._pattern) if end < 0 else end + 1
        if char == "[" and (found := _CLASS.match(self._pattern, start)):
            return self._class(found[0], found.end())
        if char == "{":
            return self._brace(start)
        if char in "()":
            return self._bracket(start)
        return self._literal(start, self._end_of_escape(start) if char == "\\" else start + 1)

    def _end_of_escape(self, start: int) -> int:
        is_name = self._pattern.startswith(r"\N{", start)
        return self._pattern.index("}", start) + 1 if is_name else start + 2

    def _bracket(self, start: int) -> int:
        char = self._pattern[start]
        self.text += char
        if char == "(":
            self._sums.append(0)
        else:
            self._add(self._sums.pop())
        return start + 1

    def _literal(self, start: int, end: int) -> int:
        self.text += self._pattern[start:end]
        self._add(1)
        return end

    def _class(self, text: str, end: int) -> int:
        self.text += "[" + re.sub(r"\\.|\[", lambda part: part[0].rjust(2, "\\"), text[1:], flags=re.DOTALL)
        self._add(1)
        return end

    def _brace(self, start: int) -> int:
        found = _COUNT.match(self._pattern, start)
        if found is None:
            self.text += "\\"
            return self._literal(start, start + 1)
        more = self._last * max(0, int(found[1] or 0) - 1)
        self._sums[-1] += more
        self._last += more
        self.text += found[0]
        return found.end()

    def _add(self, parts: int) -> None:
        self._sums[-1] += parts
        self._last = parts
