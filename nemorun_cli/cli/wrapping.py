"""Text that fits a width: wrapped between words, or shortened with `…`; no word is ever broken in two."""

from __future__ import annotations

import re
from typing import Final

INDENT: Final = 2  # of the further lines of a line that has no columns
ELLIPSIS: Final = "…"
SEPARATOR: Final = " · "  # between the commands of a hint
HINT: Final = "hint: "
COMMAND: Final = "exp "  # how a command in a hint begins
CONTINUATION: Final = " \\"  # ends a line of a command that continues on the next one

_WORD: Final = re.compile(r"\s*\S+")  # with the blanks before it
_SHELL_WORD: Final = re.compile(r"\s*(?:'[^']*'|[^\s'])+")  # the same in a command; a quoted text is one word
_DESCRIPTION: Final = re.compile(r" {3,}")  # before the description of an example
_VERBATIM: Final = re.compile(r"\s*\d* *\| ")  # a line of a log or of a spec, shown as it is
SOFT_HYPHEN: Final = "\N{SOFT HYPHEN}"  # takes a column, unlike all other format characters
_NARROWEST: Final = frozenset(("Mn", "Me", "Cf"))  # categories that take no column: marks and joiners
_WIDE: Final = frozenset("WF")  # classes of East Asian width that take two columns


def width_of(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - rarely needed

    return sum(
        0
        if unicodedata.category(char) in _NARROWEST and char != SOFT_HYPHEN
        else 1 + (unicodedata.east_asian_width(char) in _WIDE)
        for char in text
    )


def padded(text: str, width: int, *, is_number: bool = False) -> str:
    """The text with blanks up to the width: on its left for a number, on its right otherwise."""
    blanks = " " * (width - width_of(text))
    return blanks + text if is_number else text + blanks


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and `…`, in at most `width` columns."""
    if width_of(text) <= width:
        return text
    kept, used = [], 1  # the ellipsis
    for char in text:
        used += width_of(char)
        if used > width:
            break
        kept.append(char)
    return "".join(kept).rstrip() + ELLIPSIS


def fitted(line: str, width: int, *, hang: int | None = None) -> list[str]:
    """A line as lines of at most `width` columns, the further ones indented by `hang`.

    A word that is longer than the width stays whole, so that it can be copied. The commands of a hint can be
    copied too. A line of a log or of a spec is not changed.

    Args:
        hang: the column at which further lines begin; None for two more than the line itself.
    """
    if width_of(line) <= width or _VERBATIM.match(line):
        return [line]
    if line.startswith(HINT):
        return _fitted_hint(line, width)
    indent = len(line) - len(line.lstrip())
    return wrapped(line, width, hang=indent + INDENT if hang is None else hang)


def wrapped(text: str, width: int, *, hang: int = 0, words: re.Pattern[str] = _WORD) -> list[str]:
    """A text in lines of at most `width` columns, broken only between words; blanks in a line are kept."""
    lines: list[str] = []
    line = ""
    for word in words.findall(text):
        bare = word.lstrip()
        if width_of(line + word) <= width or not line.strip() or width_of(bare) > width:
            line += word
            continue
        lines.append(line)
        indents = (indent for indent in (hang, min(hang, INDENT)) if indent + width_of(bare) <= width)
        line = " " * next(indents, 0) + bare
    return [*lines, line]


def fitted_example(line: str, width: int) -> list[str]:
    """An example of a command as lines: if it is too long, its description is below the command."""
    if width_of(line) <= width:
        return [line]
    command, *rest = _DESCRIPTION.split(line.lstrip(), maxsplit=1)
    indent = " " * (len(line) - len(line.lstrip()))
    described = [wrapped(f"{indent}    {text}", width, hang=len(indent) + 2 * INDENT) for text in rest]
    return [*_continued(indent + command, width), *(piece for lines in described for piece in lines)]


def _fitted_hint(line: str, width: int) -> list[str]:
    """The pieces of a hint, several in a line; a command that is too long continues after a backslash."""
    lines: list[str] = []
    for piece in line.split(SEPARATOR):
        begin = " " * INDENT * bool(lines) + piece
        if lines and width_of(lines[-1] + SEPARATOR + piece) <= width:
            lines[-1] += SEPARATOR + piece
        elif width_of(begin) <= width:
            lines.append(begin)
        elif piece.removeprefix(HINT).startswith(COMMAND):
            lines += _continued(begin, width)
        else:
            lines += wrapped(begin, width, hang=INDENT)
    return lines


def _continued(command: str, width: int) -> list[str]:
    """A command on several lines that a shell reads as one."""
    *lines, last = wrapped(command, width - len(CONTINUATION), hang=2 * INDENT, words=_SHELL_WORD)
    return [*(line + CONTINUATION for line in lines), last]
