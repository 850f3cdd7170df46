"""What tracking prints: a courtesy, which no stream can turn into an error."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_PROCESS: Final = os.getpid()  # a forked child inherits what the parent's buffers hold, and must not flush it


def show(stream: TextIO | None, text: Callable[[], str]) -> None:
    """Print a line, if the stream takes it: a closed one, an ended reader or a full disk raise nothing.

    Args:
        stream: stdout or stderr; None in a program without a console.
        text: makes the line; what it raises is no error either.
    """
    if stream is None:
        return
    try:
        line = f"{text()}\n"
        if getattr(stream, "isatty", bool)():  # a notebook's stream may not have it
            from nemorun_cli.model.terminal_filter import filtered  # noqa: PLC0415 - slow, only for terminals

            line = filtered(line)  # in a file, `exp logs` does so when it shows it
        _write(stream, line)
    except Exception:  # noqa: BLE001, S110 - no reason to end a training; the line is in the record
        pass


def _write(stream: TextIO, text: str) -> None:
    """Write a text; characters that the stream cannot encode are escaped.

    The standard streams of the process are flushed and bypassed. What their buffer cannot write stays in it,
    and would fail once more when the interpreter exits, which then reports the exit code 120.
    """
    is_own = stream is sys.__stdout__ or stream is sys.__stderr__
    if is_own and type(stream) is io.TextIOWrapper and os.getpid() == _PROCESS:
        stream.flush()
        try:
            data = text.encode(stream.encoding, stream.errors or "strict")
        except UnicodeEncodeError:
            data = text.encode(stream.encoding, "backslashreplace")
        descriptor = stream.fileno()
        while data:
            data = data[os.write(descriptor, data) :]
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
