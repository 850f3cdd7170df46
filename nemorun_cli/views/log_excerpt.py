"""Excerpts of task logs: the last lines, and the one that most likely explains the failure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.masking import forms, mask
from nemorun_cli.system.file_end import last_bytes
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from nemorun_cli.storage.paths import AttemptFiles

LINES: Final = 20  # lines that are shown
WINDOW: Final = 64 * 1024  # bytes at the end of a log that are read
LONGEST_LINE: Final = 500  # characters of a line that are shown

TRACEBACK: Final = "Traceback (most recent call last):"
_TROUBLE: Final = re.compile(
    r"\b(?:\w*error|\w*exception|fatal|panic(?:ked)?|failed|failure|cannot|can't|could not|denied|killed"
    r"|no such file|not found|out of memory|segmentation fault|core dumped|aborted|refused)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The last lines of a log, secrets masked; `error` is the line that reports an error, or None."""

    path: Path
    lines: tuple[str, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class RawEnd:
    """The last lines of a log with their sequences and carriage returns, secrets masked.

    Attributes:
        text: the lines.
        error: which of them reports an error, from 0; None if none does.
        first: the number of the first of them; None if that would take reading all of the log.
    """

    text: str
    error: int | None
    first: int | None


def of_attempt(attempt: AttemptFiles, *, secrets: Collection[str], lines: int = LINES) -> Excerpt | None:
    """The end of an attempt's standard error, if that is apart and not empty, or else of its log."""
    excerpt = read(attempt.stderr, secrets=secrets, lines=lines, inside=attempt.root)
    if excerpt is not None and excerpt.lines:
        return excerpt
    return read(attempt.log, secrets=secrets, lines=lines, inside=attempt.root)


def read(
    path: Path, *, secrets: Collection[str], lines: int = LINES, inside: Path | None = None
) -> Excerpt | None:
    """The end of a log, or None if it does not exist; if it cannot be read, `error` says so.

    Args:
        path: the log, of any size; only its last part is read.
        secrets: values to mask.
        lines: the maximum number of lines.
        inside: the folder of the experiment; of the path below it no part may be a link.
    """
    try:
        text, _ = _end(path, secrets, inside)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Excerpt(path, (), f"the log cannot be read: {error.strerror}")
    shown = [displayed(line) for line in text.removesuffix("\n").split("\n")] if text else []
    return Excerpt(path, tuple(shown[-lines:]), _error(shown))


def raw_end(
    path: Path, *, secrets: Collection[str], lines: int, longest: int, inside: Path | None = None
) -> RawEnd:
    """The end of a log as it is: as many lines as fit, or the end of the last one.

    Args:
        path: the log.
        secrets: values to mask.
        lines: the maximum number of lines.
        longest: the maximum number of characters.
        inside: as in `read`.

    Raises:
        OSError: it cannot be read.
    """
    text, is_whole = _end(path, secrets, inside)
    every = text.removesuffix("\n").split("\n") if text else []
    kept = every[-lines:] if lines else []
    while len(kept) > 1 and sum(map(len, kept)) + len(kept) > longest:
        kept = kept[1:]
    left_out = len(every) - len(kept)
    index = error_index([displayed(line) for line in every])
    return RawEnd(
        "\n".join(kept)[-longest:],
        None if index is None or index < left_out else index - left_out,
        left_out + 1 if is_whole else None,
    )


def _end(path: Path, secrets: Collection[str], inside: Path | None) -> tuple[str, bool]:
    """The last part of a log, secrets masked, and whether that is all of it."""
    # Read this much more, so that no secret is cut at the start of the shown part and stays unmasked.
    margin = max((len(form.encode(errors="surrogateescape")) for form in forms(secrets)), default=0)
    with open_to_read(path, follows_link=False, inside=inside) as stream:
        data, start = last_bytes(stream.fileno(), WINDOW + margin)
    text = mask(data.decode(errors="replace"), secrets)
    return (text[margin:] if start else text), not start


def displayed(line: str) -> str:
    """A line as a terminal displays it: without sequences and the text that a carriage return overwrote."""
    line = line.rstrip("\r").rpartition("\r")[2]
    if not line.isprintable():
        from nemorun_cli.model.terminal_filter import without_sequences  # noqa: PLC0415 - slow to import

        line = without_sequences(line)
    line = escaped(line, kept="\t")
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…"


def _error(lines: list[str]) -> str | None:
    index = error_index(lines)
    return None if index is None else lines[index].strip()


def error_index(lines: list[str]) -> int | None:
    """Which line explains a failure: the end of the last traceback, or the last with a word for an error."""
    for index in reversed(range(len(lines))):
        if TRACEBACK in lines[index] and (final := traceback_end(lines, index)) is not None:
            return final
    return next((index for index in reversed(range(len(lines))) if _TROUBLE.search(lines[index])), None)


def traceback_end(lines: list[str], first: int) -> int | None:
    """Which line is the final one of the traceback that begins at `first`; None if it is cut off."""
    indent = _indent(lines[first])
    rest = range(first + 1, len(lines))
    return next((index for index in rest if lines[index].strip() and _indent(lines[index]) <= indent), None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
