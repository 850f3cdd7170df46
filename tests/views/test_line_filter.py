"""Filtering many lines at once gives what filtering each line by itself does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.views.line_filter import line_filter

TEXTS = st.lists(st.text(alphabet="abx1 .[\t\r\x0b\u2028", max_size=6), min_size=1, max_size=8)
PATTERNS = (
    *("a", "ab", "a.b", "^a", "b$", "^$", "x*", "a|b", "(a|b)+1", r"\d", r"\w+", r"\bx", "[ab1]", "[a-x] "),
    *(r"\.", r"\[", r"a\s", r"\sb", "[^a]", r"\n", r"\Aa", r"b\Z", "(?i)A", "(?s)a.b", "(?=b)", r"[\s]"),
    *(r"\W", r"\D", "a\n", "[\t-\r]", r"a\Z|^b", "(?m)^b", "(?x)a b", "a{1,2}", "a.", ".", "", r"\s*"),
    *("(a)|$", r"\x0a", r"(b)\1"),
)
FIXED = ["ab", "", "xa 1b", "bb.", " a[", "a\t", "\x0bb", "1"]


def _check(pattern: str, lines: list[str]) -> None:
    compiled = re.compile(pattern)
    wanted = "".join(f"{line}\n" for line in lines if compiled.search(line))
    matching = line_filter(compiled)
    for _ in range(2):  # what one text was like must not change what is found in the next one
        assert matching("\n".join(lines)) == wanted


@pytest.mark.parametrize("pattern", PATTERNS)
def test_lines_are_searched_one_by_one(pattern: str) -> None:
    """Whatever the pattern can match, it matches within a line; each matching line is kept once, in order."""
    for lines in (FIXED, FIXED[::-1], [""], ["a"], ["", ""], ["a", "ab", "ba1"]):
        _check(pattern, lines)


@given(st.sampled_from(PATTERNS), TEXTS)
def test_any_lines_are_searched_one_by_one(pattern: str, lines: list[str]) -> None:
    """The same for lines that nobody thought of."""
    _check(pattern, lines)


def test_without_a_pattern_every_line_is_kept() -> None:
    """The last line gets its newline, an empty one too."""
    assert line_filter(None)("a\n\nb") == "a\n\nb\n"
    assert line_filter(None)("") == "\n"
