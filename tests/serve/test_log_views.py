"""The outline of a log, and find in all of it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

import pytest
from support.view_sites import Reader, local, reading

from nemorun_cli.serve import log_outline, log_search
from nemorun_cli.serve.attempt_logs import AttemptLog
from nemorun_cli.serve.log_outline import LineIndex
from nemorun_cli.serve.log_search import Needle
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from support.workspace import Exp

SECRET: Final = "hunter2hunter2"  # noqa: S105 - of the test
SPEC: Final = """
name: logged
tasks:
  fails:
    inline: |
      printf 'one\\n\\033[31mTwo\\033[0m two\\n10%%\\r20%%\\n'
      printf 'Traceback (most recent call last):\\n  File "x", line 1\\nValueError: shape %s\\nbye' "$TOKEN"
      exit 3
    secrets: {TOKEN: {file: secret.txt}}
  fine: {inline: "echo error; echo end"}
  never: {inline: "true", dependencies: [fails]}
"""


@pytest.fixture(scope="module")
def made(shared: Exp) -> Exp:
    """A home with an experiment that failed."""
    (shared.folder / "secret.txt").write_text(SECRET)
    (shared.folder / "secret.txt").chmod(0o600)
    shared("run", shared.spec(SPEC), "-q", code=None)
    return shared


@pytest.fixture(scope="module")
def alice(made: Exp) -> Iterator[Reader]:
    with reading(local(made.home)) as (reader,):
        yield reader


@pytest.fixture(scope="module")
def logs(alice: Reader) -> str:
    """The address of the log of its tasks."""
    each = alice.json("/v1/views/experiments")["experiments"][0]
    return f"/v1/views/experiments/{each['owner']}/{each['home']}/{each['id']}/log"


def log_of(folder: Path) -> AttemptLog:
    return AttemptLog("a", 1, "log", AttemptFiles(folder), folder / "log", is_over=True)


def outline(log: AttemptLog, known: LineIndex) -> dict[str, Any]:
    return log_outline.document(log, known, secrets=(), attempt=None, sizes={})


def test_an_outline_says_what_failed_and_how_it_ended(alice: Reader, logs: str, made: Exp) -> None:
    """It has the line that `exp why` quotes, with its number and its byte, and the end of the attempt."""
    document = alice.json(f"{logs}/outline?task=fails")
    content = alice.get(f"{logs}?task=fails").content
    assert (document["size"], document["lines"]) == (len(content), 7)
    assert document["marks"] == [{"offset": len(content), "line": 7}]
    assert (document["status"], document["exit_code"], document["over"]) == ("FAILED", 3, True)
    assert document["ended"] >= document["started"]
    assert document["streams"] == [{"name": "log", "size": len(content)}]
    error = document["error"]
    quoted = json.dumps(made("why", made("list", "--json").json["experiments"][0]["id"], "--json").json)
    assert error["text"].startswith("ValueError: shape ***")
    assert error["line"] == 6
    assert content[error["offset"] :].startswith(b"ValueError")
    assert SECRET not in json.dumps(document)
    assert "ValueError: shape ***" in quoted


def test_a_log_without_a_failure_has_no_error(alice: Reader, logs: str) -> None:
    """The word error alone explains nothing where nothing failed; a log that is missing says why."""
    assert alice.json(f"{logs}/outline?task=fine")["error"] is None
    for view in ("outline", "find"):
        answer = alice.get(
            f"{logs}/{view}?task=never&text=x" if view == "find" else f"{logs}/{view}?task=never", code=404
        )
        assert answer.json()["code"] == "no_log"


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("text=two", [2, 2]), ("text=Two&case=1", [2]), ("text=TWO two", [2]), ("text=31m", []),
        ("text=10%25", [3]), (f"text={SECRET}", []), ("text=bye", [7]), ("text=.", []),
    ],
)  # fmt: skip
def test_a_text_is_found_as_it_is_shown(alice: Reader, logs: str, query: str, lines: list[int]) -> None:
    """Colours do not part a text nor contain one, overwritten states count, and a secret is not found."""
    document = alice.json(f"{logs}/find?task=fails&{query}")
    assert ([match["line"] for match in document["matches"]], document["count"]) == (lines, len(lines))


@pytest.mark.parametrize("query", ["text=", "text=a%0Ab", "", "text=a&case=2", "text=a&limit=0"])
def test_what_cannot_be_found_is_refused(alice: Reader, logs: str, query: str) -> None:
    """An empty text, a line break, or an unknown value is an error of the request."""
    alice.get(f"{logs}/find?task=fails&{query}", code=400)


@pytest.mark.parametrize("block", [16, 64, 1 << 20])
def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Lines, marks, matches and their offsets are right wherever a block ends, and while the log grows."""
    monkeypatch.setattr(log_outline, "BLOCK", block)
    monkeypatch.setattr(log_search, "BLOCK", block)
    monkeypatch.setattr(log_search, "LONGEST_BLOCK", 4 * block)
    chance = random.Random(4)  # noqa: S311 - of a test
    log, known = log_of(tmp_path), LineIndex()
    log.path.touch()
    for _ in range(12):
        with log.path.open("ab") as stream:
            stream.write(
                b"".join(chance.choice((b"needle", b"x", b"\n", b"ab needle\n", b"\n\n")) for _ in range(20))
            )
        content = log.path.read_bytes()
        document = outline(log, known)
        lines = content.split(b"\n")
        assert document["lines"] == len(lines) - (not lines[-1])
        for mark in document["marks"]:
            assert mark["line"] == content[: mark["offset"]].count(b"\n") + 1
        around = chance.randrange(len(content))
        found = log_search.document(log, Needle("needle", has_case=True), secrets=(), around=around, limit=5)
        expected = [
            {"line": number + 1, "offset": sum(len(line) + 1 for line in lines[:number])}
            for number, line in enumerate(lines)
            for _ in range(line.count(b"needle"))
        ]
        if max(map(len, lines)) < block:  # a longer line is searched in parts
            assert found["count"] == len(expected)
            first = found["first"]
            assert found["matches"] == expected[first : first + 5]
            assert len(found["matches"]) == min(5, len(expected))
            before = sum(match["offset"] < around for match in expected)
            assert not expected or first <= before <= first + 5


def test_a_log_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """A log that is shorter, or another one, is not continued; the last traceback of all is the error."""
    log, known = log_of(tmp_path), LineIndex()
    log.path.write_text("one\ntwo\n")
    assert outline(log, known)["lines"] == 2
    log.path.write_text("1\n")
    assert outline(log, known)["lines"] == 1
    log.path.write_text("Traceback (most recent call last):\n  x\nKeyError: 1\n" + "fine\n" * 50_000)
    assert outline(log, known)["error"] == {"line": 3, "offset": 39, "text": "KeyError: 1"}


def test_an_empty_log_has_no_ranges_but_is_no_error(alice: Reader, logs: str, made: Exp) -> None:
    """The end of a log to which nothing was written yet is nothing."""
    (log,) = made.home.glob("**/fine/**/log")
    log.write_bytes(b"")
    answer = alice.get(f"{logs}?task=fine", headers={"Range": "bytes=-100"})
    assert (answer.content, answer.headers["exp-attempt"]) == (b"", "1")
    assert alice.json(f"{logs}/outline?task=fine")["lines"] == 0
    assert alice.json(f"{logs}/find?task=fine&text=x")["count"] == 0
