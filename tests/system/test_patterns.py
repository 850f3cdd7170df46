"""Patterns of specs are read as Python's `re` reads them, and none takes longer than it may."""

from __future__ import annotations

import ast
import re
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.documents import DOCUMENTS
from support.extent import amount

from nemorun_cli.system import patterns
from nemorun_cli.system.regex_timeout import MOST_SLOW, SearchPatternError, SlowPatterns, TooSlowError

ROOT = Path(__file__).parents[2]
IN_DOCUMENTS = re.compile(r"""(?:pattern|log|patterns|[a-z]+): *\[?(?:'([^'\n]+)'|"([^"\n]+)")""")
IN_CODE = re.compile(r"""(?:\bre\.\w+\(|\bmatch=|\bfinder\(|compile\()\s*(r?"(?:\\.|[^"\\\n])*")[,)]""")
IN_SCHEMAS = re.compile(r'"pattern": "((?:\\.|[^"])*)"')
SAMPLES = (
    *("", "a", "loss=0.25 step=3", "epoch 3: {e<=1} [[:alpha:]] x{}", "NCCL error", 'it\'s "fine" & $HOME'),
    *(
        "2026-01-01T00:00:00.000Z",
        "exp_1",
        "exp_1-2",
        "a/b.c",
        "../x",
        "90s",
        "1h30m",
        "16G",
        "\n",
        "ä ß \u0660",
    ),
    *("must match ^v, not x", "no param is called 'lr'", "missing ), unterminated", "train/lr=0.1", "[a]b]"),
)


def all_patterns() -> set[str]:
    """The quoted values of documents, the patterns of schemas, and those in calls of `re`."""
    found = set()
    for path in DOCUMENTS:
        found |= {one or two for one, two in IN_DOCUMENTS.findall(path.read_text(encoding="utf-8"))}
    for path in (ROOT / "schemas").glob("*.json"):
        found |= {ast.literal_eval(f'"{text}"') for text in IN_SCHEMAS.findall(path.read_text("utf-8"))}
    for folder in ("nemorun_cli", "tests", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(map(ast.literal_eval, IN_CODE.findall(path.read_text(encoding="utf-8"))))
    return {text for text in found if 0 < len(text) <= 300 and not text.startswith("${{")}


def spans(pattern: re.Pattern[str], text: str) -> list[object]:
    """Where a pattern matches, with its groups."""
    return [(found.span(), found.groups()) for found in pattern.finditer(text)]


def check(text: str) -> bool:
    """Compare the two readings of a pattern; returns whether it is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            expected = re.compile(text)
        except re.error:
            with pytest.raises(SearchPatternError):
                patterns.compiled(text)
            return False
        found = patterns.compiled(text)
    for sample in (*SAMPLES, text):
        assert spans(found, sample) == spans(expected, sample), (text, sample)
    return True


def test_every_known_pattern_is_read_alike() -> None:
    """All patterns of documents, schemas, tests and the code match what `re` matches, groups included."""
    known = all_patterns()
    assert sum(map(check, known)) > 150


@pytest.mark.parametrize(
    "text",
    [
        *("a{e<=1}", "[[:alpha:]]", "x{}", "x{,2}", "x{1,}", "{", "a{1", "(?:abc){d<=1}x", "[]{]", "[^]{[]"),
        *(r"\[{e}", r"[\[:alpha:\]]", r"\N{LATIN SMALL LETTER A}{e}", "(?x) a # [ {e}\n [b{]", "(?#[)a[[b]"),
        *(r"(?P<x>a{2})(?P=x)", "(a)?(?(1)b|c)", "(?i)ß|K", r"\Aa\Z", "(?s:.)(?-i:a)", "(?>a*)b", "a++b"),
        *("[a-b[]", r"\\[[a]", "a{2}{e}", "(?<=a{1})b", "(?<![[])b", r"[\]\[{]", "x{ 1}"),
    ],
)
def test_what_only_regex_knows_is_literal(text: str) -> None:
    """Constraints of fuzzy matching, classes of POSIX and the like mean what they mean for `re`."""
    check(text)


@settings(max_examples=amount(100, long=20_000))
@example("[\\d[]{e}")
@given(st.text("ab1[]{}()^$|\\,:?*+-e<=.#dwZ ", max_size=12))
def test_any_pattern_is_read_alike(text: str) -> None:
    """Whatever its characters, a pattern is one of both or of none, and matches the same."""
    check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(", "is not a regular expression: missing"),
        ("a" * 10_001, "is longer than 10,000 characters"),
        ("((a{1000}){1000}){1000}", "is larger than 50,000 characters with its repetitions"),
        ("(?:x{60000}){60000}", "with its repetitions"),
        ("(?x: a # [\n)", r"write \(\?x\) at the beginning"),
    ],
)
def test_a_pattern_that_is_none_or_too_large_is_refused(text: str, message: str) -> None:
    """What cannot be compiled in little time and memory is an error with the reason."""
    before = time.process_time()
    with pytest.raises(SearchPatternError, match=message):
        patterns.compiled(text)
    assert time.process_time() - before < 1


def test_a_search_ends() -> None:
    """A search that is exponential in its text ends, in any thread."""
    with pytest.raises(TooSlowError):
        patterns.matches("(a|aa)+$", "a" * 100 + "!", seconds=0.05)
    assert patterns.matches("(a|aa)+$", "a" * 100)


def test_schemas_need_no_time() -> None:
    """No pattern of the schemas takes more than linear time."""
    texts = [
        part * 20_000 + end for part in ("a", "1", "a/", "../", "a.", "1d", "a-", "\n") for end in ("!", "\0")
    ]
    for path in (ROOT / "schemas").glob("*.json"):
        for text in {ast.literal_eval(f'"{one}"') for one in IN_SCHEMAS.findall(path.read_text("utf-8"))}:
            for sample in texts:
                before = time.process_time()
                re.search(text, sample)
                assert time.process_time() - before < 0.5, text


def test_slow_patterns_are_given_up_together() -> None:
    """A pattern is given up after a second for a line or five in all; after many, all others are."""
    slow = SlowPatterns()
    assert slow.spend("a", 0.9) is None
    assert slow.spend("b", 1.1) == "more than 1 s for a line"
    assert [slow.spend("a", 0.9) for _ in range(5)][-1] == "more than 5 s in all"
    assert "a" in slow
    assert "c" not in slow
    for number in range(MOST_SLOW):
        slow.spend(f"p{number}", 2)
    assert "c" in slow
