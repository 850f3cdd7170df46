from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.globs import compiled, literal


@pytest.mark.parametrize(
    ("pattern", "fits", "not_these"),
    [
        ("src", ["src", "src/a", "src/a/b"], ["a/src", "srcs"]),
        ("src/", ["src/a"], ["srcs/a"]),
        ("./src/a.py", ["src/a.py"], ["src/axpy"]),
        ("*.py", ["a.py", ".py"], ["a/b.py", "a.pyc"]),
        ("**/*.py", ["a.py", "a/b.py", "a/b/c.py"], ["a.txt"]),
        ("src/**", ["src/a", "src/a/b"], ["src"]),
        ("src/**/test", ["src/test", "src/a/b/test", "src/test/x"], ["test"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "/x"]),
        ("[!a]x", ["bx"], ["ax", "/x"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a+b(c)$", ["a+b(c)$"], ["aab"]),
    ],
)
def test_a_glob_fits(pattern: str, fits: list[str], not_these: list[str]) -> None:
    """* and ? stay within a name, ** does not, and what fits a folder fits all that is in it."""
    assert [path for path in fits if not compiled(pattern).fullmatch(path)] == []
    assert [path for path in not_these if compiled(pattern).fullmatch(path)] == []


@pytest.mark.parametrize(
    ("pattern", "begin"), [("src/**/*.py", "src"), ("*.py", ""), ("a/b/c.txt", "a/b/c.txt"), ("a/[b]/c", "a")]
)
def test_the_plain_part_says_where_to_look(pattern: str, begin: str) -> None:
    """What comes before the first glob is the folder that has to be walked."""
    assert literal(pattern) == begin


def fits(path: list[str], pattern: list[str]) -> bool:
    """The same by definition, name by name."""
    if not pattern:
        return True  # what is below a folder that fits
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(fits(path[index:], pattern[1:]) for index in range(len(path)))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and fits(path[1:], pattern[1:])


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
GLOBS = st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=4).filter(lambda name: name != "."))


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(GLOBS, min_size=1, max_size=4))
def test_globs_mean_what_they_are_said_to(path: list[str], pattern: list[str]) -> None:
    """Whatever the pattern, it fits the paths that it fits name by name."""
    assert bool(compiled("/".join(pattern)).fullmatch("/".join(path))) == fits(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "b", "a" * 250 + "/x"),
        ("**/a/" * 12 + "b", "a/" * 40 + "c"),
        ("**/*/" * 12 + "b", "a/" * 40 + "c"),
        ("**/*a*a*a*b/" * 12 + "b", f"{'a' * 40}/" * 40 + "c"),
    ],
)
def test_no_glob_takes_for_ever(pattern: str, path: str) -> None:
    """A pattern with many stars takes no time where it does not fit."""
    before = time.process_time()
    assert not compiled(pattern).fullmatch(path)
    assert time.process_time() - before < 1
