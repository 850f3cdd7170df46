from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.control_characters import LAYOUT, escaped, one_line

BIDIRECTIONAL = set("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_unsafe(char: str) -> bool:
    """Whether a character can rewrite a terminal or reorder its text, by the tables of Unicode."""
    is_tag = 0xE0000 <= ord(char) < 0xE0080 and unicodedata.category(char) != "Cn"
    return unicodedata.category(char) in ("Cc", "Cs") or char in BIDIRECTIONAL or is_tag or char == "\ufeff"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x7f\x9b2J", r"\x7f\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("x\u2066\u200f\u2028\ufeff", r"x\u2066\u200f\u2028\ufeff"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        (r"C:\x1b", r"C:\x1b"),
    ],
)
def test_what_rewrites_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Each such character is visible, by its number in Unicode or by its usual letter."""
    assert escaped(text) == shown


@pytest.mark.parametrize(
    "text", ["مرحبا", "שלום", "漢字 かな", "naïve é", "👩\u200d👩\u200d👧", "नमस्\u200cते", "❤\ufe0f"]
)
def test_text_of_any_script_stays(text: str) -> None:
    """Letters of all scripts, their joiners, and emoji are not changed."""
    assert escaped(text) == text == one_line(text)


@given(text=st.text(st.characters(), max_size=30), kept=st.sampled_from(["", "\t", LAYOUT]))
def test_nothing_unsafe_remains(text: str, kept: str) -> None:
    """What is kept stays, all else that is unsafe goes, nothing else changes, and twice is as once."""
    shown = escaped(text, kept=kept)
    assert not [char for char in shown if is_unsafe(char) and char not in kept]
    assert escaped(shown, kept=kept) == shown
    assert "".join(char for char in text if not is_unsafe(char)) == text or shown != text
    if not any(map(is_unsafe, text)):
        assert shown == text


def test_every_unsafe_character_has_an_escape() -> None:
    """The table of this module is that of Unicode; the whole block of tags counts."""
    codes = [*range(0x3000), *range(0xD700, 0xE000), *range(0xFE00, 0x10000), *range(0xE0080, 0xE0200)]
    assert [hex(code) for code in codes if (escaped(chr(code)) == chr(code)) is is_unsafe(chr(code))] == []
    assert all(escaped(chr(code)) != chr(code) for code in range(0xE0000, 0xE0080))


def test_a_cell_is_one_line() -> None:
    """A newline and a tab are blanks where a text has one line."""
    assert one_line("a\nb\tc\x1b") == r"a b c\x1b"
