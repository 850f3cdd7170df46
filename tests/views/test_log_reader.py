from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import ExperimentState, TaskState
from nemorun_cli.views import log_reader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> ExperimentFiles:
    """An experiment with nothing in it."""
    return ExperimentFiles(tmp_path)


def _write(files: ExperimentFiles, data: bytes, *, task: str = "a", attempt: int = 1) -> None:
    log = files.attempt(task, attempt).log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(data)


def _history(status: TaskStatus, *, attempt: int = 1) -> ExperimentState:
    return ExperimentState({"a": TaskState(status=status, attempt=attempt)})


RUNNING = _history(TaskStatus.RUNNING)
OVER = _history(TaskStatus.SUCCEEDED)


def _texts(feed: log_reader.LogFeed, history: ExperimentState) -> list[str]:
    return [line.text for line in feed.read(history)]


def test_each_line_is_given_once(files: ExperimentFiles) -> None:
    """A feed gives what was written since it was last read."""
    feed = log_reader.LogFeed(files, ["a"])
    assert _texts(feed, RUNNING) == []
    _write(files, b"one\ntwo\n")
    assert _texts(feed, RUNNING) == ["one", "two"]
    _write(files, b"three\n")
    assert _texts(feed, RUNNING) == ["three"]


def test_an_unfinished_line_waits_for_its_end(files: ExperimentFiles) -> None:
    """Half a line, or half a character, is kept until the rest comes, or the task is over."""
    feed = log_reader.LogFeed(files, ["a"])
    letter = "ü".encode()
    _write(files, b"x" + letter[:1])
    assert _texts(feed, RUNNING) == []
    _write(files, letter[1:] + b"\nlast")
    assert _texts(feed, RUNNING) == ["xü"]
    assert _texts(feed, OVER) == ["last"]
    assert _texts(feed, OVER) == []


def test_offsets_are_those_of_the_file(files: ExperimentFiles) -> None:
    """The offset of a line is the byte at which it begins, however it was read."""
    feed = log_reader.LogFeed(files, ["a"])
    _write(files, b"one\ntw")
    found = list(feed.read(RUNNING))
    _write(files, b"o\nthree")
    found += list(feed.read(RUNNING))
    found += list(feed.read(OVER))
    assert [(line.offset, line.text) for line in found] == [(0, "one"), (4, "two"), (8, "three")]


def test_attempts_follow_each_other(files: ExperimentFiles) -> None:
    """The rest of an attempt comes before the next one; none that came between two reads is left out."""
    feed = log_reader.LogFeed(files, ["a"])
    _write(files, b"first")
    assert _texts(feed, RUNNING) == []
    _write(files, b"second\n", attempt=2)
    _write(files, b"third\n", attempt=3)
    assert _texts(feed, _history(TaskStatus.RUNNING, attempt=3)) == ["first", "second", "third"]


def test_a_chosen_attempt_stays_chosen(files: ExperimentFiles) -> None:
    """With `attempt` nothing of the others is read."""
    _write(files, b"first\n")
    _write(files, b"second\n", attempt=2)
    feed = log_reader.LogFeed(files, ["a"], attempt=1)
    assert _texts(feed, _history(TaskStatus.RUNNING, attempt=2)) == ["first"]


def test_a_task_that_waits_for_a_retry_shows_its_last_attempt(files: ExperimentFiles) -> None:
    """Before the coming attempt has begun the latest log is that of the one before."""
    _write(files, b"first\n")
    feed = log_reader.LogFeed(files, ["a"])
    assert _texts(feed, _history(TaskStatus.PENDING, attempt=2)) == ["first"]


def test_what_is_there_can_be_skipped(files: ExperimentFiles) -> None:
    """After `skip` only what is written later is given."""
    _write(files, b"old\n")
    feed = log_reader.LogFeed(files, ["a"])
    feed.skip(RUNNING)
    _write(files, b"new\n")
    assert _texts(feed, RUNNING) == ["new"]


def test_secrets_are_hidden_before_a_pattern_sees_them(files: ExperimentFiles) -> None:
    """A search cannot tell what is in a secret."""
    _write(files, b"the hunter22 is here\n")
    feed = log_reader.LogFeed(files, ["a"], secrets={"hunter22"}, pattern=re.compile("hunter"))
    assert _texts(feed, OVER) == []
    assert _texts(log_reader.LogFeed(files, ["a"], secrets={"hunter22"}), OVER) == ["the *** is here"]


@pytest.mark.parametrize("pattern", [None, "o", "o.*w", "[^x]w", "^$"])
@pytest.mark.parametrize("last", [None, 0, 1, 3])
def test_many_lines_at_once_are_the_same_lines(
    files: ExperimentFiles, pattern: str | None, last: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of many lines have what single lines have: masked, filtered, cut, of all tasks and attempts."""
    monkeypatch.setattr(log_reader, "CHUNK", 16)  # so that lines are divided among blocks
    _write(files, b"one\nhow low\n\nthe secret-value now\nsecret-value\nand more\nx" + b"w" * 40)
    _write(files, b"of attempt two: how\n", attempt=2)
    _write(files, "grün, wo".encode(), task="b")
    history = ExperimentState(
        {
            name: TaskState(status=TaskStatus.SUCCEEDED, attempt=number)
            for name, number in (("a", 2), ("b", 1))
        }
    )

    def feed() -> log_reader.LogFeed:
        compiled = re.compile(pattern) if pattern is not None else None
        secrets = ["secret-value", "and more\nhow low"]
        return log_reader.LogFeed(files, ["a", "b"], secrets=secrets, pattern=compiled, last=last)

    for number in (None, 1):
        single, many = feed(), feed()
        single.attempt = many.attempt = number
        wanted = "".join(f"{line.task} {line.text}\n" for line in single.read(history))
        found = "".join(
            f"{task} {line}\n" for task, text in many.read_text(history) for line in text[:-1].split("\n")
        )
        assert found == wanted


@pytest.mark.parametrize(
    "data", ["aü漢😀" * 30, "x\n" + "ü" * 41 + "\nlast", "one\ntwo\n", "\udc9b\udcff" * 20]
)
def test_together_the_parts_are_the_bytes_of_the_log(
    files: ExperimentFiles, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A very long line comes in parts of whole characters, and without `completes` no newline is added."""
    monkeypatch.setattr(log_reader, "CHUNK", 7)
    monkeypatch.setattr(log_reader, "LONGEST", 12)
    _write(files, data.encode(errors="surrogateescape"))
    for completes in (False, True):
        ending = "\n" * (completes and not data.endswith("\n"))
        many = list(log_reader.LogFeed(files, ["a"], completes=completes).read_text(OVER))
        assert "".join(text for _, text in many) == data + ending
        lines = list(log_reader.LogFeed(files, ["a"], completes=completes).read(OVER))
        assert "".join(line.text + "\n" * (not line.is_unfinished) for line in lines) == data + ending
        assert not any("\udc80" <= char <= "\udcff" for line in lines for char in line.to_json()["text"])
    if data.startswith("aü"):
        assert all(char < "\udc80" or char > "\udcff" for _, text in many for char in text)


@pytest.mark.parametrize("shift", [-13, -6, -1, 0, 1, 6])
@pytest.mark.parametrize("is_bulk", [False, True])
def test_a_secret_is_hidden_wherever_a_long_line_is_divided(
    files: ExperimentFiles,
    shift: int,
    is_bulk: bool,  # noqa: FBT001
) -> None:
    """A line of any length is given in parts, and no part ends within a secret or a character."""
    secret, letter = "plainSecret42", "ü"
    sizes = [log_reader.LONGEST, log_reader.LONGEST + log_reader.CHUNK]
    line = b"".join(b"x" * (size - log_reader.CHUNK + shift) + secret.encode() for size in sizes)
    line += letter.encode() * log_reader.LONGEST
    _write(files, line + b"\nend\n")
    feed = log_reader.LogFeed(files, ["a"], secrets=[secret, "x\nanother secret"])
    texts = [text for _, text in feed.read_text(OVER)] if is_bulk else _texts(feed, OVER)
    whole = "".join(texts).replace("\n", "")
    assert whole == line.decode().replace(secret, "***") + "end"
