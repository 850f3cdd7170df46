"""Output of programs as a terminal may get it: with its colours, without what rewrites the terminal.

Kept are the sequences of SGR (`ESC [ … m`), tabs, carriage returns, newlines and all visible text. All other
sequences and control characters are dropped, in their 7-bit and 8-bit forms, as are the directions of
bidirectional text. A byte that is no text becomes U+FFFD. Sequences are those of ECMA-48 and xterm.
"""

from __future__ import annotations

import re
from typing import Final

from nemorun_cli.model.control_characters import C0, C1, DIRECTIONS, SURROGATES

LONGEST: Final = 1 << 18  # characters of a sequence; of a longer one only the introducer is dropped
RESET: Final = "\x1b[0m"

_STRING: Final = r"[^\x07\x18\x1a\x1b\x80-\x9f\n]"  # a character of a title, a link or a picture
_SEQUENCE: Final = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: moves of the cursor, modes, and others
    r"|\x9b[0-?]*[ -/]*[@-~]"  # the same in its 8-bit form
    rf"|(?:\x1b[\]PX^_k]|[\x9d\x90\x98\x9e\x9f]){_STRING}{{0,{LONGEST}}}(?:\x07|\x1b\\|[\x18\x1a\x9c])"
    r"|\x1b[\]PX^_k\[]"  # the introducer of one that does not end: the rest is text
    r"|\x1b[ -/]*[0-~]"  # character sets, resets, and others
)
_CONTROLS: Final = "".join(re.escape(char) for char in C0 if char not in "\t\n\r") + f"\x7f{C1}{DIRECTIONS}"
_BYTES_OF_C1: Final = "\udc80-\udc9f"  # as `surrogateescape` decodes them

_UNSAFE: Final = re.compile(f"[{_CONTROLS}{SURROGATES}]")
_PARTS: Final = re.compile(
    rf"(?P<sgr>\x1b\[[0-9;:]*m)|(?P<dropped>{_SEQUENCE}|[{_CONTROLS}{_BYTES_OF_C1}])|[{SURROGATES}]"
)
_UNFINISHED: Final = re.compile(
    rf"(?:\x1b(?:[\]PX^_k]{_STRING}*\x1b?|\[[0-?]*[ -/]*|[ -/]*)|\x9b[0-?]*[ -/]*"
    rf"|[\x9d\x90\x98\x9e\x9f]{_STRING}*\x1b?)\Z"
)
_INTRODUCERS: Final = re.compile(r"[\x1b\x9b\x9d\x90\x98\x9e\x9f]")
_IS_RESET: Final = re.compile(r"\x1b\[[0;]*m")


class TerminalFilter:
    """Filters a text that arrives in pieces; a sequence may continue in the next piece.

    Attributes:
        is_styled: whether the text so far ends in a style other than the default one.
    """

    def __init__(self) -> None:
        self.is_styled = False
        self._held = ""  # the beginning of a sequence

    def feed(self, text: str) -> str:
        """The next piece, decoded with `surrogateescape`, as a terminal may get it."""
        if self._held:
            text, self._held = self._held + text, ""
        if _UNSAFE.search(text) is None:
            return text
        begin = _unfinished(text)
        text, self._held = text[:begin], text[begin:]
        return _PARTS.sub(self._kept, text)

    def end(self) -> str:
        """What remains after the last piece: the reset of a style that is still on."""
        rest, self._held = _PARTS.sub(self._kept, self._held), ""
        if self.is_styled:
            self.is_styled = False
            return rest + RESET
        return rest

    def _kept(self, match: re.Match[str]) -> str:
        if match.lastgroup == "sgr":
            self.is_styled = not is_reset(match[0])
            return match[0]
        return "" if match.lastgroup == "dropped" else "\ufffd"


def filtered(text: str) -> str:
    """A whole text as a terminal may get it."""
    one = TerminalFilter()
    return one.feed(text) + one.end()


def is_reset(sgr: str) -> bool:
    """Whether a sequence of SGR does nothing but end all styles."""
    return _IS_RESET.fullmatch(sgr) is not None


def without_sequences(text: str) -> str:
    """The text without sequences, colours included; single control characters stay."""
    return _WHOLE.sub("", text) if "\x1b" in text or not text.isascii() else text


_WHOLE: Final = re.compile(_SEQUENCE)


def _unfinished(text: str) -> int:
    """Where a sequence begins that the text does not finish; else its length. A newline ends each."""
    if text.endswith("\n"):
        return len(text)
    starts = [match.start() for match in _INTRODUCERS.finditer(text, max(0, len(text) - LONGEST))][-2:]
    return next((start for start in starts if _UNFINISHED.match(text, start)), len(text))
