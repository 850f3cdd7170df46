from __future__ import annotations

import pytest

from nemorun_cli.packagers.globs import compiled, literal


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
