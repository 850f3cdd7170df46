"""Prose is plain English: none of the words in banned_words.txt is used."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
from support.documents import DOCUMENTS, ROOT

LIST: Final = Path(__file__).with_name("banned_words.txt")
PAGES: Final = tuple(
    dict.fromkeys((*DOCUMENTS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))))
)
FORMS: Final = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MODULES: Final = sorted((ROOT / "nemorun_cli").rglob("*.py"))

# File, as a glob relative to the root; expression; reason. Text that the expression matches is not searched.
EXCEPTIONS: Final = (
    ("docs/extend/executors-matrix.md", r".+", "generated from the docstrings of the contract tests"),
    ("*", r"--(?:no-)?host-is-gone\b|\bhost_is_gone\b", "an option of `exp resume`, and its name in Python"),
    ("*", r"--(?:no-)?engines\b", "an option of `exp validate`"),
    ("*", r"\bsupervisor_gone\b", "an event that plugins receive"),
    ("*", r"\bstood-back\b", "a file of an attempt on Slurm"),
    ("*", r"(?<=[`\"'])gone(?=[`\"'])", "a state of supervisors in JSON"),
)

# Names in code that older experiments have on disk, by the glob of their files.
NAMES: Final = (
    ("nemorun_cli/model/code_package.py", r"\btold\b", "a field of `resolved.json`"),
    ("nemorun_cli/model/plan.py", r"\bcompany\b", "a field of `plan.json`"),
)

_JSON_TEXT = re.compile(r'"(?:title|description)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_CODE = re.compile(
    r"^```.*?^```$"  # fenced blocks
    r"|<!--.*?-->"  # comments
    r"|``.+?``|`[^`]+`"  # inline code
    r"|(?<=\])\([^)\s]+\)",  # targets of links
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One banned expression, and the plain term to use instead."""

    regex: re.Pattern[str]
    plain: str


def entries() -> tuple[Entry, ...]:
    """The entries of the list, in its order."""
    lines = (line for line in LIST.read_text(encoding="utf-8").splitlines() if line.strip())
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return tuple(
        Entry(re.compile(regex.replace(" ", r"\s+"), re.IGNORECASE), plain) for regex, plain in pairs
    )


def blanked(regex: re.Pattern[str], text: str) -> str:
    """The text with a mark in place of each character that the expression matches, and the same lines.

    A space would join the words before and after, as in `the values are <code> over all runs`.
    """
    return regex.sub(lambda match: re.sub(r"[^\n]", "|", match[0]), text)


def markdown_prose(text: str) -> str:
    """A Markdown text without its code and its link targets."""
    return blanked(_CODE, text)


def python_prose(text: str) -> str:
    """The comments and the texts of a Python file, its docstrings and messages, at their lines.

    Texts of a single word are names, and what braces of an f-string contain is code.
    """
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] += token.string
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.split("\n")[: len(lines) - node.lineno]):
                lines[node.lineno + offset] += f" | {line}"
    return markdown_prose("\n".join(lines[1:]))


def json_prose(text: str) -> str:
    """The titles and descriptions of a JSON Schema, at their lines."""
    kept = [" | ".join(match[1] for match in _JSON_TEXT.finditer(line)) for line in text.splitlines()]
    return markdown_prose("\n".join(kept))


def findings(name: str, prose: str) -> list[str]:
    """Each banned word in the prose of a file, with its line and the plain term.

    Args:
        name: the file, relative to the root; selects the exceptions.
        prose: its text, with marks in place of everything that is not prose.
    """
    for glob, regex, _ in (*EXCEPTIONS, *NAMES):
        if fnmatch(name, glob):
            prose = blanked(re.compile(regex), prose)
    return [
        f"{name}:{prose.count(chr(10), 0, match.start()) + 1}: {match[0]!r}: use {entry.plain}"
        for entry in ENTRIES
        for match in entry.regex.finditer(prose)
    ]


ENTRIES: Final = entries()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_document_uses_plain_words(path: Path) -> None:
    """The docs, and the pages at the root and in .github, contain no banned word outside of code."""
    prose = markdown_prose(path.read_text(encoding="utf-8"))
    assert findings(path.relative_to(ROOT).as_posix(), prose) == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_uses_plain_words(path: Path) -> None:
    """The titles, labels and descriptions of a form for issues contain no banned word."""
    prose = markdown_prose(path.read_text(encoding="utf-8"))
    assert findings(path.relative_to(ROOT).as_posix(), prose) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_uses_plain_words(path: Path) -> None:
    """Comments, docstrings and messages contain no banned word."""
    prose = python_prose(path.read_text(encoding="utf-8"))
    assert findings(path.relative_to(ROOT).as_posix(), prose) == []


@pytest.mark.parametrize("path", sorted((ROOT / "schemas").glob("*.json")), ids=lambda path: path.name)
def test_a_schema_uses_plain_words(path: Path) -> None:
    """Titles and descriptions, which `exp schema` and editors show, contain no banned word."""
    prose = json_prose(path.read_text(encoding="utf-8"))
    assert findings(path.relative_to(ROOT).as_posix(), prose) == []


def test_the_prose_of_a_module_is_found() -> None:
    """Comments, docstrings and the texts of f-strings are searched; code in braces and names are not."""
    text = 'x = "told"  # it is told\ny = f"it lies in {told} here"\n'
    assert findings("module.py", python_prose(text)) == [
        "module.py:1: 'told': use reported, shown, passed to; or name the message",
        "module.py:2: 'lies': use is in, is next to, overrides",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "The engine is told which task it is.",
        "An attempt may\ngo on after a crash.",
        "The file lies in the folder of the task.",
        "The key stands in the spec.",
        "Wait until the task is over.",
        "A resume takes up the running task.",
        "The supervisor is gone.",
        "Each member follows its twin.",
        "Jobs are queued early behind their parents.",
        "A list with one a member.",
    ],
)
def test_literary_words_are_found(sentence: str) -> None:
    """A word of the list is found in a sentence, also across a line break."""
    assert findings("page.md", markdown_prose(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "A stand-alone program, where n stands for the number of nodes.",
        "The connection is over ssh, and the limit is over 30 seconds.",
        "Messages go on stderr.",
        "The clock lies.",
        "`exp resume --host-is-gone` and the state `gone`.",
        "See [the page](lies-in/gone.md).",
        "Retries take up to a minute.",
        "An end time, an end-to-end test and the end of the run.",
        "```text\nit is told\n```",
        "The values are `str.format` over all variables.",
    ],
)
def test_technical_words_are_spared(sentence: str) -> None:
    """Technical terms, code and link targets are not findings."""
    assert findings("page.md", markdown_prose(sentence)) == []


def test_a_finding_names_the_line_and_the_plain_term() -> None:
    """A finding gives the file, the line of the word and its replacement."""
    text = "# Title\n\n```sh\ntold\n```\nIt is told.\n"
    assert findings("page.md", markdown_prose(text)) == [
        "page.md:6: 'told': use reported, shown, passed to; or name the message"
    ]


def test_each_exception_is_needed() -> None:
    """Each exception matches text of a document."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
    unused = [
        regex
        for glob, regex, _ in EXCEPTIONS
        if not any(re.search(regex, text) for name, text in texts.items() if fnmatch(name, glob))
    ]
    assert unused == []
