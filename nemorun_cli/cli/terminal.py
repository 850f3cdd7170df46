"""Standard output and standard error: data goes to the one, talk to the other."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROGRAM: Final = "exp"
INTERRUPTED: Final = 130  # the exit code after Ctrl-C
DUMB: Final = ("", "dumb")  # kinds of terminal that cannot move the cursor


def secure_descriptors() -> None:
    """See that no file of ours takes the place of a standard stream that was closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def take_any_text() -> None:
    """Make the standard streams show what their encoding has no characters for, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Data, as it is, to standard output.

    Raises:
        ExpError: it cannot be written, on a full disk for instance.
        BrokenPipeError: nobody reads any more.
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
    """One line of data."""
    write(text + "\n")


def write_lines(lines: Iterable[str]) -> None:
    """Lines of data for people, without the control characters that could rewrite a terminal."""
    write("".join(f"{printable(line)}\n" for line in lines))


def printable(line: str) -> str:
    """The line with a dot for each character that would not be shown as it is."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else "·" for char in line)


def write_json(document: Mapping[str, Any]) -> None:
    """One JSON document on one line, so that several make JSON Lines."""
    write(json.dumps(document) + "\n")


def flush() -> None:
    """Hand everything written so far to the system; raises like `write`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def leave(code: int) -> None:
    """End this process now: the interpreter would take its modules apart first, a tenth of a short command.

    Returns only if something written could not be handed over, for the interpreter to tell.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def say(text: str) -> None:
    """A line of talk, for people, to standard error; where nobody listens it is lost."""
    say_raw(text + "\n")


def say_raw(text: str) -> None:
    """Talk as it is, with its line ends."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return


def warn(text: str) -> None:
    """Talk that should be noticed: led by the program's name."""
    say(f"{PROGRAM}: {text}")


def suggest(text: str, *, is_wanted: bool) -> None:
    """The hint that follows an action and names the next commands, unless a script asked."""
    if is_wanted:
        say(f"hint: {text}")


def can_draw(stream: TextIO | None) -> bool:
    """Whether live displays and tables with colour make sense there."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in DUMB


def forget_output() -> None:
    """Let what could not be written go, so that the interpreter does not try again at its end."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.close(descriptor)
    except OSError:
        return


def _unwritable(error: OSError) -> ExpError:
    forget_output()
    return ExpError(f"cannot write to standard output: {os.strerror(error.errno or errno.EIO)}")
