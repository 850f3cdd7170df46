"""Runs a task under any program that takes a command line: nsys, valgrind, numactl, time."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.errors import UsageError
from nemorun_cli.model.plain_text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.executors.launchers import LaunchSetting


class Wrap:
    """Puts arguments in front of a command line."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "title": "an argument list, or a text that is split as a shell would",
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
        ],
    }

    def __init__(self, options: Any) -> None:
        self._lead = tuple(_words(options))

    def problems(self, setting: LaunchSetting) -> Iterable[str]:
        """None: only the host of the task can check whether the program exists."""
        del setting
        return ()

    def argv(self, argv: tuple[str, ...], setting: LaunchSetting) -> tuple[str, ...]:
        """The arguments, followed by the command line."""
        del setting
        return (*self._lead, *argv)


def _words(options: Any) -> list[str]:
    """The arguments. Expressions are already resolved, word by word."""
    if not isinstance(options, str):
        return [item if isinstance(item, str) else text_of(item) for item in options]
    try:
        return shlex.split(options)
    except ValueError as fault:
        raise UsageError(f"wrap: cannot be split: {str(fault).lower()}", hint="close the quote") from None
