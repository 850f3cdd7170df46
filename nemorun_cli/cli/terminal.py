"""Standard output for data and standard error for messages: the one place that writes to them.

Text is escaped here, so that no name, value or message can rewrite a terminal. What `write_unchanged` and
`say_unchanged` get is safe already: JSON, what this module has escaped, and logs (`log_output`).
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from nemorun_cli.cli import wrapping
from nemorun_cli.errors import ExpError
from nemorun_cli.model.control_characters import LAYOUT, escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.cli.table_layout import Line
    from nemorun_cli.model.problems import Problem

PROGRAM: Final = "exp"
INTERRUPTED: Final = 130  # the exit code after Ctrl-C
DUMB: Final = ("", "dumb")  # values of TERM for terminals that cannot move the cursor
USUAL_WIDTH: Final = 80  # columns of a terminal whose size is unknown
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}
_CODES: Final = {"bold": "1", "dim": "2", **_COLOURS}


def secure_descriptors() -> None:
    """Open closed standard streams on /dev/null, so that no file that we open gets their descriptors."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextlib.contextmanager
def passing_bytes(stream: TextIO | None) -> Iterator[bool]:
    """While the block runs, the stream writes text decoded with `surrogateescape` as the bytes that it was.

    Yields whether it does: a stream of a notebook takes only text.
    """
    if not isinstance(stream, io.TextIOWrapper):
        yield False
        return
    encoding, errors = stream.encoding, stream.errors
    stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        yield True
    finally:
        with contextlib.suppress(OSError, ValueError):  # it was closed: reported elsewhere
            stream.reconfigure(encoding=encoding, errors=errors)


def take_any_text() -> None:
    """Make the standard streams escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write text to standard output, with escapes for what could rewrite a terminal; keeps tabs and newlines.

    Raises:
        ExpError: the write failed, on a full disk for instance.
        BrokenPipeError: the reader closed the pipe.
    """
    write_unchanged(escaped(text, kept=LAYOUT))


def write_unchanged(text: str) -> None:
    """Write data as it is: what the caller has made safe, or what the user asked for unchanged."""
    if sys.stdout is None:
        raise ExpError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def write_line(text: str) -> None:
    """Write a line of text."""
    write(escaped(text, kept="\t") + "\n")


def write_lines(lines: Iterable[str], *, hang: int | None = None) -> None:
    """Write lines for people, each on one line; on a terminal, long ones are wrapped.

    Args:
        hang: on a terminal, the column at which the rest of a long line begins; see `wrapping.fitted`.
    """
    columns = width(sys.stdout)
    shown = (piece for line in lines for piece in _fitted(escaped(line, kept="\t"), columns, hang=hang))
    write_unchanged("".join(f"{line}\n" for line in shown))


def _fitted(line: str, columns: int | None, *, hang: int | None = None) -> Iterable[str]:
    return [line] if columns is None else wrapping.fitted(line, columns, hang=hang)


def write_styled(lines: Iterable[Line], *, is_coloured: bool) -> None:
    """Write lines of texts with styles such as `bold red`; without colours, they have no trailing blanks."""
    write_unchanged("".join(_styled(line, is_coloured=is_coloured) for line in lines))


def _styled(line: Line, *, is_coloured: bool) -> str:
    texts = [(escaped(text, kept="\t"), style) for text, style in line]
    if not is_coloured:
        return "".join(text for text, _ in texts).rstrip() + "\n"
    return "".join(coloured(text, style) for text, style in texts) + "\n"


def coloured(text: str, style: str) -> str:
    """The text with the codes of a terminal for a style such as `bold red`; unchanged without a style."""
    if not style:
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def write_picture(text: str) -> None:
    """Write a drawing with its colours, and without all else that could rewrite a terminal."""
    from nemorun_cli.model.terminal_filter import filtered  # noqa: PLC0415 - only for drawings

    write_unchanged(filtered(text))


def write_json(document: Mapping[str, Any], *, dump: Callable[[object], str] = json.dumps) -> None:
    """Write a JSON document on one line, so that several documents make JSON Lines.

    JSON in ASCII escapes all that could rewrite a terminal.

    Args:
        document: its values are data and are not changed.
        dump: makes the text, in ASCII.
    """
    write_unchanged(dump(document) + "\n")


def flush() -> None:
    """Flush standard output; raises like `write`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def leave(code: int) -> None:
    """Exit at once: the interpreter's own cleanup takes a tenth of the time of a short command.

    Returns only if a flush failed, so that the interpreter reports it.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def say(text: str) -> None:
    """Write a message as one line to standard error, escaped, fitted to a terminal; a failure is ignored."""
    say_lines([text])


def say_lines(lines: Iterable[str]) -> None:
    """Write a message of several lines like `say`: no text in one of them can begin another line."""
    columns = width(sys.stderr)
    lines = [escaped(line, kept="\t") for line in lines]
    say_unchanged("".join(f"{piece}\n" for line in lines for piece in _fitted(line, columns)))


def ask(question: str) -> None:
    """Write a question to standard error, escaped; the answer is typed on the same line."""
    say_unchanged(f"{PROGRAM}: {escaped(question)} ")


def say_unchanged(text: str) -> None:
    """Write text as it is to standard error; a failure is ignored."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return


def warn(text: str) -> None:
    """Write a message of one line, prefixed with the program's name."""
    say(f"{PROGRAM}: {text}")


def warn_of(problems: Iterable[Problem]) -> None:
    """Write the warnings about a spec, one per line, with --quiet and --json too: results may be wrong."""
    for problem in problems:
        warn(f"warning: {problem}")


def suggest(text: str, *, is_wanted: bool) -> None:
    """Write the hint that names the next commands after all output, unless a script ran the command."""
    if is_wanted:
        flush()
        say(f"hint: {text}")


def can_draw(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal that supports live displays and colour."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in DUMB


def has_colours(stream: TextIO | None) -> bool:
    """Whether to write colours to the stream."""
    return can_draw(stream) and not os.environ.get("NO_COLOR")


def width(stream: TextIO | None) -> int | None:
    """The number of columns of a terminal, by the environment or by itself; None for a pipe or a file."""
    if stream is None or not stream.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH


def forget_output() -> None:
    """Discard unwritten output, so that the interpreter does not try again when it exits."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.close(descriptor)
    except OSError:
        return


def _unwritable(error: OSError) -> ExpError:
    forget_output()
    return ExpError(f"cannot write to standard output: {os.strerror(error.errno or errno.EIO)}")
