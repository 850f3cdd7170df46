from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.cli.log_output import LogOutput

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stream(io.StringIO):
    """Standard output that is a terminal, or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._is_terminal


def written(
    pieces: Sequence[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_led: bool = True,
    is_terminal: bool = True,
) -> str:
    """What is written for pieces of logs."""
    stream = Stream(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    with LogOutput(stream, is_led=is_led) as output:
        for task, text in pieces:
            output.write(task, text)
    return stream.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_each_line_is_led_by_its_task(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> None:
    """Also a line that comes in parts, and one that another task's line interrupts."""
    pieces = [("a", "1\n2\n"), ("b", "long"), ("b", " line\n"), ("a", "x"), ("b", "y\n")]
    shown = written(pieces, monkeypatch, is_terminal=is_terminal)
    assert shown == "a | 1\na | 2\nb | long line\na | x\nb | y\n"


def test_a_task_cannot_overwrite_the_lead_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a carriage return the lead is written again; colours end with their line."""
    shown = written([("a", "1%\r2%\r\n\x1b[31mred\nplain\n")], monkeypatch)
    assert shown == "a | 1%\ra | 2%\na | \x1b[31mred\x1b[0m\na | plain\n"


def test_one_log_keeps_its_colours_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without leads a style may last for lines; it is reset at the end of the output."""
    assert written([("a", "\x1b[31mred\n"), ("a", "still\n")], monkeypatch, is_led=False) == (
        "\x1b[31mred\nstill\n\x1b[0m"
    )


def test_a_sequence_in_two_pieces_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task has its own filter, so that the pieces of two tasks do not mix."""
    pieces = [("a", "x\x1b]0;ti"), ("b", "tle\n"), ("a", "tle\x07y\n")]
    assert written(pieces, monkeypatch) == "a | x\nb | tle\na | y\n"


def test_a_pipe_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on a terminal nothing is left out."""
    text = "\x1b]0;t\x07\x1b[2Ja\rb\u202e\n"
    assert written([("a", text)], monkeypatch, is_terminal=False, is_led=False) == text
    assert written([("a\x1b", text)], monkeypatch, is_terminal=False) == f"a\\x1b | {text}"
