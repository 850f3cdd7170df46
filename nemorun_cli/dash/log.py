"""ML-Dash's levels of log lines, and lines that are built in two steps."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.tracking.logs import Logs


class LogLevel(StrEnum):
    """The levels of log lines."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    DEBUG = "debug"
    FATAL = "fatal"

    @classmethod
    def validate(cls, level: str) -> str:
        """The level in lower case.

        Raises:
            InvalidValueError: there is no such level.
        """
        try:
            return cls(level.lower()).value
        except ValueError:
            raise InvalidValueError(
                f"there is no log level {level!r} (there are: {', '.join(cls)})"
            ) from None


class LogBuilder:
    """A line of a log whose metadata is given first: `experiment.log(metadata={…}).info(text)`."""

    def __init__(self, logs: Logs, metadata: Mapping[str, Any]) -> None:
        self._logs = logs
        self._metadata = metadata

    def debug(self, /, message: object, **extra: Any) -> None:
        """Log a line that helps to debug."""
        self._write("debug", message, extra)

    def info(self, /, message: object, **extra: Any) -> None:
        """Log a line about the progress."""
        self._write("info", message, extra)

    def warn(self, /, message: object, **extra: Any) -> None:
        """Log a line about a possible problem."""
        self._write("warn", message, extra)

    def error(self, /, message: object, **extra: Any) -> None:
        """Log a line about an error."""
        self._write("error", message, extra)

    def fatal(self, /, message: object, **extra: Any) -> None:
        """Log a line about an error that ends the run."""
        self._write("fatal", message, extra)

    def _write(self, level: str, message: object, extra: Mapping[str, Any]) -> None:
        self._logs.write(level, message, {**self._metadata, **extra})
