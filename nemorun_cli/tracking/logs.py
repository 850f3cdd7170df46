"""Log lines of a record: five levels, metadata of a line, and reading them back."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking import foreign_calls
from nemorun_cli.tracking.assignments import CheckedAttributes
from nemorun_cli.tracking.process import console
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import encode_row
from nemorun_cli.tracking.store.row_selection import Rows, Selection, select

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row
    from nemorun_cli.tracking.store.row_selection import Span
    from nemorun_cli.tracking.store.row_writer import Writer

LEVELS: Final = ("debug", "info", "warn", "error", "fatal")  # lowest first
_ALIASES: Final = {"warning": "warn", "critical": "fatal"}  # the names in Python's logging
_TO_STDERR: Final = frozenset({"error", "fatal"})
_FROM_LOGGING: Final = ((50, "fatal"), (40, "error"), (30, "warn"), (20, "info"), (0, "debug"))


class Logs(CheckedAttributes):
    """The log of a record: `logs.info("epoch done", epoch=3)`."""

    label = "experiment.logs"
    settable = frozenset({"prints"})
    written = "experiment.log(text, {name}=…)"

    def __init__(self, place: Place, writer: Writer, *, prints: bool) -> None:
        self.prints = prints
        self._place = place
        self._writer = writer

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse `exp.logs("task")`, which is a call of NeMo-Run."""
        raise foreign_calls.logs_of_a_task()

    @property
    def _folder(self) -> str:
        return self._place.logs

    def debug(self, /, message: object, **metadata: Any) -> None:
        """Log a line that helps to debug."""
        self.write("debug", message, metadata)

    def info(self, /, message: object, **metadata: Any) -> None:
        """Log a line about the progress."""
        self.write("info", message, metadata)

    def warn(self, /, message: object, **metadata: Any) -> None:
        """Log a line about a possible problem."""
        self.write("warn", message, metadata)

    def error(self, /, message: object, **metadata: Any) -> None:
        """Log a line about an error."""
        self.write("error", message, metadata)

    def fatal(self, /, message: object, **metadata: Any) -> None:
        """Log a line about an error that ends the run."""
        self.write("fatal", message, metadata)

    def write(self, level: str, message: object, metadata: Mapping[str, Any] | None = None) -> None:
        """Log a line of any level; it is in the file when this returns, and printed if printing is on.

        Raises:
            InvalidValueError: there is no such level.
            TypeError: the message has no text, or a value of the metadata cannot be recorded. Nothing is
                written or printed.
            StateError: the record is not open.
        """
        level = _level(level)
        line: dict[str, Any] = {"level": level, "message": _text(message)}
        if metadata:
            line["metadata"] = metadata
        self._writer.append(self._folder, encode_row(time.time(), line))
        if self.prints:
            stream = sys.stderr if level in _TO_STDERR else sys.stdout
            console.show(stream, lambda: _line(level, line["message"], metadata))

    def read(
        self,
        *,
        level: str | None = None,
        contains: str | None = None,
        grep: str | None = None,
        time: Span = None,
        tail: int | None = None,
        openings: Collection[str] | None = None,
    ) -> Rows:
        """The lines of all processes, in order, with `_ts`, `level`, `message` and optionally `metadata`.

        Args:
            level: only this level and those above it.
            contains: only messages that contain this text.
            grep: only messages that match this regular expression anywhere.
            time: (first, last) Unix time, None for no bound.
            tail: only this many of the last matching lines.
            openings: only lines of these openings.

        Raises:
            InvalidValueError: there is no such level, or `grep` is no regular expression.
        """
        filters = level is not None or contains is not None or grep is not None or time is not None
        lines, torn = row_files.series(
            self._folder, openings=openings, tail=None if filters else tail, kind="logs"
        )
        if level is not None:
            accepted = LEVELS[LEVELS.index(_level(level)) :]
            lines = [line for line in lines if line.get("level") in accepted]
        if contains is not None:
            lines = [line for line in lines if contains in line["message"]]
        if grep is not None:
            pattern = _pattern(grep)
            lines = [line for line in lines if pattern.search(line["message"])]
        selected = select(lines, Selection(time=time), torn=torn)
        return selected if tail is None else select(selected[max(0, len(selected) - tail) :], torn=torn)

    def handler(self, level: int | str = 0) -> logging.Handler:
        """A handler that writes the messages of a `logging` logger to this record; it prints nothing."""
        import logging  # noqa: PLC0415 - takes 10 ms to import, and callers have imported it already

        logs = self

        class RecordHandler(logging.Handler):
            """Writes log records to the tracking record while that is open."""

            def emit(self, record: logging.LogRecord) -> None:
                try:
                    logs.take(record, self.format(record))
                except Exception:  # noqa: BLE001 - logging expects handlers to report errors, not to raise them
                    with contextlib.suppress(Exception):  # it prints to stderr, which may be closed
                        self.handleError(record)

        return RecordHandler(level)

    def take(self, record: logging.LogRecord, text: str) -> None:
        """Write a message from `logging`, with the name of its logger."""
        level = next(name for minimum, name in _FROM_LOGGING if record.levelno >= minimum)
        line: Row = {"level": level, "message": text, "metadata": {"logger": record.name}}
        self._writer.append(self._folder, encode_row(record.created, line))


def _level(name: str) -> str:
    level = name.lower() if isinstance(name, str) else ""
    level = _ALIASES.get(level, level)
    if level not in LEVELS:
        raise InvalidValueError(f"there is no log level {shown(name)} (there are: {', '.join(LEVELS)})")
    return level


def _pattern(grep: str) -> re.Pattern[str]:
    try:
        return re.compile(grep)
    except re.error as error:
        raise InvalidValueError(f"grep is no regular expression: {error}: {shown(grep)}") from None


def _text(message: object) -> str:
    """A message as text.

    Raises:
        TypeError: its `__str__` raises.
    """
    try:
        return str(message)
    except Exception as error:
        kind = type(message).__qualname__
        raise TypeError(
            f"the message has no text: str() of {kind} raised {type(error).__qualname__}"
        ) from error


def _line(level: str, message: str, metadata: Mapping[str, Any] | None) -> str:
    """A line as ML-Dash prints it."""
    pairs = ", ".join(f"{key}={value}" for key, value in metadata.items()) if metadata else ""
    return f"[{level.upper()}] {message} [{pairs}]" if pairs else f"[{level.upper()}] {message}"
