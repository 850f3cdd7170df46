"""Logs of tasks as a stream gets them: a pipe the bytes, a terminal text and colours only."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final, Self, TextIO

from nemorun_cli.cli import terminal
from nemorun_cli.model.control_characters import escaped

if TYPE_CHECKING:
    from types import TracebackType

    from nemorun_cli.model.terminal_filter import TerminalFilter
    from nemorun_cli.views.log_reader import LogLine

SGR: Final = "\x1b["  # how the only sequences begin that a filtered text has


class LogOutput:
    """Writes logs to standard output or standard error.

    Args:
        stream: one of these two.
        is_led: whether each line begins with the id of its task.
        is_raw: whether a terminal gets the bytes as well.
    """

    def __init__(self, stream: TextIO | None, *, is_led: bool, is_raw: bool = False) -> None:
        self._write = terminal.write_unchanged if stream is sys.stdout else terminal.say_unchanged
        self._is_led = is_led
        self._is_filtered = not is_raw and stream is not None and stream.isatty()
        self._filters: dict[str, TerminalFilter] = {}
        self._unfinished: str | None = None  # the task whose last line has no newline yet
        self._stream = stream
        self._takes_bytes = False
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if not self._is_filtered:
            self._takes_bytes = self._exits.enter_context(terminal.passing_bytes(self._stream))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if rest := "".join(known.end() for known in self._filters.values()):
            self._write(rest)
        self._exits.close()

    def line(self, line: LogLine) -> None:
        """Write one line, or a part of a very long one."""
        self.write(line.task, line.text if line.is_unfinished else f"{line.text}\n")

    def write(self, task: str, text: str) -> None:
        """Write lines of a task, each with its newline; one without it is continued by the next call."""
        if self._is_filtered:
            text = self._filter(task).feed(text)
        elif not self._takes_bytes and not text.isascii():
            text = text.encode(errors="surrogateescape").decode(errors="replace")
        if self._is_led and text:
            text = self._led(task, text)
        self._write(text)

    def _filter(self, task: str) -> TerminalFilter:
        if task not in self._filters:
            from nemorun_cli.model.terminal_filter import TerminalFilter  # noqa: PLC0415 - only for terminals

            self._filters[task] = TerminalFilter()
        return self._filters[task]

    def _led(self, task: str, text: str) -> str:
        lead = f"{escaped(task)} | "
        begin = lead if self._unfinished is None else ""
        if self._unfinished not in (None, task):
            begin = f"\n{lead}"
        is_whole = text.endswith("\n")
        self._unfinished = None if is_whole else task
        lines = text.removesuffix("\n")
        lines = self._apart(lines, task, lead) if self._is_filtered else lines.replace("\n", f"\n{lead}")
        return f"{begin}{lines}" + "\n" * is_whole

    def _apart(self, lines: str, task: str, lead: str) -> str:
        """The lines with their leads: none is overwritten, and no style of a line reaches the next one."""
        if "\r" in lines:
            lines = lines.replace("\r\n", "\n").removesuffix("\r").replace("\r", f"\r{lead}")
        if SGR in lines:
            lines = "\n".join(map(_unstyled_at_end, lines.split("\n")))
            self._filters[task].is_styled = False
        return lines.replace("\n", f"\n{lead}")


def _unstyled_at_end(line: str) -> str:
    from nemorun_cli.model.terminal_filter import RESET, is_reset  # noqa: PLC0415 - imported already

    begin = line.rfind(SGR)
    if begin < 0 or is_reset(line[begin : line.index("m", begin) + 1]):
        return line
    return line + RESET
