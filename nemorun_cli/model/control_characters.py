"""Characters that rewrite a terminal, or reorder its text, and the escapes that people see instead.

These are the control characters C0, DEL and C1, the marks, overrides and isolates of bidirectional text,
separators of lines and paragraphs, U+FEFF, tag characters, and lone surrogates. All other text, in any
script, is shown as it is, including emoji that are joined.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

C0: Final = "".join(map(chr, range(0x20)))
C1: Final = "\x80-\x9f"  # a range, as the next ones
DIRECTIONS: Final = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f"
SURROGATES: Final = "\ud800-\udfff"
LAYOUT: Final = "\t\n"  # what texts of several lines keep

_SHORT: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def escaped(text: str, *, kept: str = "") -> str:
    r"""The text with an escape, such as `\x1b` or `\u202e`, for each of these characters.

    Backslashes of the text itself stay single: what is shown is never read back, and JSON has the value.

    Args:
        kept: characters below U+0020 that stay as they are.
    """
    printable = text
    for char in kept:
        printable = printable.replace(char, "")
    if printable.isprintable():  # most texts are, and the pattern is slow to compile
        return text
    return _pattern(kept).sub(_escape, text)


def one_line(text: str) -> str:
    """The text escaped, with blanks for its newlines and tabs."""
    if text.isprintable():
        return text
    return escaped(text.translate(_BLANKS))


_BLANKS: Final = str.maketrans(LAYOUT, "  ")


@cache
def _pattern(kept: str) -> re.Pattern[str]:
    low = "".join(re.escape(char) for char in C0 if char not in kept)
    return re.compile(f"[{low}\x7f{C1}{DIRECTIONS}{SURROGATES}]")


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:  # noqa: PLR2004 - two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four digits
