from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model import terminal_filter
from nemorun_cli.model.terminal_filter import RESET, TerminalFilter, filtered, without_sequences

PARTS = st.sampled_from(
    [
        *(
            "\x1b",
            "[",
            "]",
            "P",
            "_",
            "31m",
            "2J",
            ";",
            "0;title",
            "\x07",
            "\\",
            "\n",
            "\r",
            "\t",
            "m",
            "x",
            "é",
            "漢",
        ),
        *("\x1b[0m", "\x1b[1;31m", "\x9b", "\x9d", "\x9c", "\x18", "\x08", "\x7f", "\u202e", "\ufeff"),
        *("\udc9b", "\udcff", "\ud800", "\x1b(0", "\x1bc", "?25l", ">4;2m", " q"),
    ]
)
SGR = re.compile(r"\x1b\[[0-9;:]*m")
UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mx\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mx\x1b[m"),
        ("10%\r20%\tdone\r\n", "10%\r20%\tdone\r\n"),
        ("\x1b]0;title\x07a\x1b]2;title\x1b\\b\x9d0;title\x9cc", "abc"),
        ("\x1b]8;;http://e.x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGk=\x07\x1bP1$q\x1b\\\x1b_a\x1b\\\x1b^p\x1b\\\x1bXs\x1b\\x", "x"),
        ("\x1b[2J\x1b[H\x1b[?1049h\x1b[10;5Hx\x1b[6n\x1b[>4;2m\x9b3A", "x"),
        ("\x1bc\x1b(0\x1b7\x1b=x\x0e\x0f\x08\x07\x0b\x0c\x00\x7f", "x"),
        ("\x80\x84\x85\x9b1mx\udc9b\udcff", "x\ufffd"),
        ("\u202eevil\u2066\u200f مرحبا 👩\u200d👧", "evil مرحبا 👩\u200d👧"),
        ("\x1b[3\u202e1m", "31m"),
        ("\x1b]0;no end\nnext line", "0;no end\nnext line"),
        ("\x1b]0;no end\x1b[31mred", "0;no end\x1b[31mred\x1b[0m"),
        ("\x1b[31", "31"),
        ("\x1b", ""),
    ],
)
def test_a_terminal_gets_text_and_colours(text: str, shown: str) -> None:
    """SGR, tabs, returns and text are kept, all else is dropped, and what does not end swallows nothing."""
    assert filtered(text) == shown


@given(pieces=st.lists(st.lists(PARTS, max_size=6).map("".join), max_size=8))
def test_the_borders_of_pieces_do_not_matter(pieces: list[str]) -> None:
    """However a text is cut, the same is shown, without anything unsafe, and it ends without a style."""
    one = TerminalFilter()
    shown = "".join(one.feed(piece) for piece in pieces) + one.end()
    assert shown == filtered("".join(pieces))
    assert UNSAFE.search(SGR.sub("", shown)) is None
    styles = SGR.findall(shown)
    assert not styles or re.fullmatch(r"\x1b\[[0;]*m", styles[-1])


def test_a_style_is_reset_at_the_end() -> None:
    """A terminal keeps no style of a log; black, `38;5;0`, is one."""
    assert filtered("\x1b[38;5;0mx").endswith(RESET)
    assert not filtered("\x1b[31mx\x1b[m").endswith(RESET)


@pytest.mark.parametrize("text", ["\x1b]", "\x9d", "\x1b[1", "\x1b]a\x1b", "\x1b[ "])
def test_no_text_takes_long(text: str) -> None:
    """The time grows with the length only, whatever is repeated."""
    begin = time.process_time()
    filtered(text * (100_000 // len(text)))
    without_sequences(text * (100_000 // len(text)))
    assert time.process_time() - begin < 2


def test_a_sequence_that_does_not_end_is_held_only_so_far() -> None:
    """A title without an end does not swallow the output after it."""
    one = TerminalFilter()
    assert one.feed("\x1b]0;") == ""
    assert one.feed("a" * terminal_filter.LONGEST) != ""
    assert one.feed("b" * 10) == "b" * 10


def test_excerpts_have_no_sequences() -> None:
    """Without colours, too, only single characters remain, which are escaped where they are shown."""
    assert without_sequences("\x1b[31mred\x1b[0m\x1b]0;t\x07 \x9b2J\x08") == "red \x08"
