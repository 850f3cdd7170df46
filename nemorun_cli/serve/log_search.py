"""Finds a text in a whole log: how often it occurs, and in which lines.

What is searched is what a terminal shows: without sequences such as those of colours, with secrets masked,
and with the states of a line that a carriage return overwrote.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import UsageError
from nemorun_cli.serve import attempt_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from nemorun_cli.serve.attempt_logs import AttemptLog

MATCHES_FORMAT: Final = "exp.log-matches/1"
BLOCK: Final = 1 << 20  # bytes that are searched at a time, up to the end of a line
LONGEST_BLOCK: Final = 1 << 23  # bytes of a line that is searched in parts
MOST_LISTED: Final = 10_000
LISTED: Final = 1_000
LONGEST_TEXT: Final = 1_000  # characters
_SEQUENCE: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_k][^\x07\x18\x1a\x1b\n]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]"
)


class _Searched(NamedTuple):
    """A block: where it begins and ends, the lines before it, the matches before it and in it."""

    begin: int
    end: int
    breaks: int
    before: int
    matches: int


class Needle:
    """A text that is looked for.

    Args:
        text: as somebody typed it.
        has_case: whether `A` is another letter than `a`.
    """

    def __init__(self, text: str, *, has_case: bool) -> None:
        if not text or "\n" in text or len(text) > LONGEST_TEXT:
            raise UsageError(f"text: must be a text of one line of at most {LONGEST_TEXT} characters")
        self._has_case = has_case
        self._in_text = not has_case and not text.isascii()
        self._text = text if has_case else text.lower()
        self._bytes = self._text.encode(errors="surrogateescape")

    def count(self, data: bytes) -> int:
        """How often it occurs."""
        if self._in_text:
            return self._as_text(data).count(self._text)
        return self._as_bytes(data).count(self._bytes)

    def lines(self, data: bytes) -> Iterator[int]:
        """For each time it occurs, the line breaks before it."""
        if self._in_text:
            yield from _lines(self._as_text(data), self._text, "\n")
        else:
            yield from _lines(self._as_bytes(data), self._bytes, b"\n")

    def _as_bytes(self, data: bytes) -> bytes:
        shown = _SEQUENCE.sub(b"", data) if b"\x1b" in data else data
        return shown if self._has_case else shown.lower()

    def _as_text(self, data: bytes) -> str:
        return self._as_bytes(data).decode(errors="replace").lower()


def _lines(shown: Any, text: Any, line_break: Any) -> Iterator[int]:
    breaks = begin = 0
    at = shown.find(text)
    while at >= 0:
        breaks += shown.count(line_break, begin, at)
        yield breaks
        begin, at = at, shown.find(text, at + len(text))


def document(
    log: AttemptLog, needle: Needle, *, secrets: Collection[str], around: int, limit: int
) -> dict[str, Any]:
    """The document `exp.log-matches/1`.

    Args:
        log: which one.
        needle: what is looked for.
        secrets: values that are masked, so that nobody finds them.
        around: the byte next to which matches are listed.
        limit: how many are listed.

    Raises:
        OSError: it is not there, or is no regular file.
    """
    with log.open() as stream:
        reader = attempt_logs.masked_reader(secrets) or attempt_logs.plain
        size = stream.seek(0, 2)
        blocks, breaks, count = [], 0, 0
        for begin, data in _blocks(reader(stream, 0, size)):
            found = needle.count(data)
            blocks.append(_Searched(begin, begin + len(data), breaks, count, found))
            breaks += data.count(b"\n")
            count += found

        def listed(block: _Searched) -> list[dict[str, int]]:
            return (
                _listed(b"".join(reader(stream, block.begin, block.end)), needle, block)
                if block.matches
                else []
            )

        first = max(0, min(_before(blocks, around, listed) - limit // 2, count - limit))
        matches = [
            match
            for block in blocks
            if block.before < first + limit and block.before + block.matches > first
            for match in listed(block)[max(0, first - block.before) : max(0, first + limit - block.before)]
        ]
    return {
        "schema": MATCHES_FORMAT,
        "task": log.task,
        "attempt": log.attempt,
        "stream": log.stream,
        "size": size,
        "count": count,
        "first": first,
        "matches": matches,
    }


def _before(blocks: list[_Searched], around: int, listed: Callable[[_Searched], list[dict[str, int]]]) -> int:
    """How many matches begin in lines before that of a byte."""
    for block in blocks:
        if block.begin <= around < block.end:
            return block.before + sum(match["offset"] < around for match in listed(block))
    return blocks[-1].before + blocks[-1].matches if blocks and around >= blocks[-1].end else 0


def _blocks(pieces: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines, and where each begins; a line that is longer than a block may have is cut."""
    begin, held = 0, b""
    for piece in pieces:
        held += piece
        if len(held) < BLOCK:
            continue
        end = held.rfind(b"\n") + 1
        if not end and len(held) < LONGEST_BLOCK:
            continue
        end = end or len(held)
        yield begin, held[:end]
        begin, held = begin + end, held[end:]
    if held:
        yield begin, held


def _listed(data: bytes, needle: Needle, block: _Searched) -> list[dict[str, int]]:
    """The matches in a block: the number of the line of each, and the byte at which that begins."""
    matches, line, begin = [], 0, 0
    for breaks in needle.lines(data):
        while line < breaks:
            begin = data.index(b"\n", begin) + 1
            line += 1
        matches.append({"line": block.breaks + breaks + 1, "offset": block.begin + begin})
    return matches
