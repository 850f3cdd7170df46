"""Standard output for data and standard error for messages."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from nemorun_cli.cli import wrapping
from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.problems import Problem

PROGRAM: Final = "exp"
INTERRUPTED: Final = 130  # the exit code after Ctrl-C
DUMB: Final = ("", "dumb")  # values of TERM for terminals that cannot move the cursor
USUAL_WIDTH: Final = 80  # columns of a terminal whose size is unknown


def secure_descriptors() -> None:
    """Open closed standard streams on /dev/null, so that no file that we open gets their descriptors."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def take_any_text() -> None:
    """Make the standard streams escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write data unchanged to standard output.

    Raises:
        ExpError: the write failed, on a full disk for instance.
        BrokenPipeError: the reader closed the pipe.
    """
    if sys.stdout is None:
        raise ExpError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def write_line(text: str) -> None:
    """Write a line of data."""
    write(text + "\n")


def write_lines(lines: Iterable[str], *, hang: int | None = None) -> None:
    """Write lines for people, without the control characters that could rewrite a terminal.

    Args:
        hang: on a terminal, the column at which the rest of a long line begins; see `wrapping.fitted`.
    """
    columns = width(sys.stdout)
    shown = (piece for line in lines for piece in _fitted(printable(line), columns, hang=hang))
    write("".join(f"{line}\n" for line in shown))


def _fitted(line: str, columns: int | None, *, hang: int | None = None) -> Iterable[str]:
    return [line] if columns is None else wrapping.fitted(line, columns, hang=hang)


def printable(line: str) -> str:
    """The line with a dot for each unprintable character."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else "·" for char in line)


def write_json(document: Mapping[str, Any]) -> None:
    """Write a JSON document on one line, so that several documents make JSON Lines."""
    write(json.dumps(document) + "\n")


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
    """Write a message to standard error, fitted to a terminal; a failure is ignored."""
    columns = width(sys.stderr)
    say_raw("".join(f"{piece}\n" for line in text.split("\n") for piece in _fitted(line, columns)))


def say_raw(text: str) -> None:
    """Write text unchanged to standard error; a failure is ignored."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return


def warn(text: str) -> None:
    """Write a message prefixed with the program's name."""
    say(f"{PROGRAM}: {text}")


def warn_of(problems: Iterable[Problem]) -> None:
    """Write the warnings about a spec, one per line, with --quiet and --json too: results may be wrong."""
    for problem in problems:
        warn(f"warning: {printable(str(problem))}")


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
