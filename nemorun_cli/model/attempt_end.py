"""The end of an attempt: its exit code, or the reason why it has none."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import Reason, TaskStatus

if TYPE_CHECKING:
    from nemorun_cli.model.usage import Usage


SIGNAL_BASE: Final = 128  # a shell reports termination by signal n as exit code 128+n


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, and its usage; `started` and `ended` are Unix seconds, None if unknown."""

    status: TaskStatus
    exit_code: int | None = None
    reason: Reason | None = None
    message: str | None = None
    started: float | None = None
    ended: float | None = None
    usage: Usage | None = None


def lost(message: str) -> AttemptEnd:
    """The end of an attempt that left no evidence of its result."""
    return AttemptEnd(status=TaskStatus.FAILED, reason=Reason.LOST, message=message)


def failed_launch(message: str) -> AttemptEnd:
    """The end of an attempt that could not be started."""
    return AttemptEnd(status=TaskStatus.FAILED, reason=Reason.LAUNCH, message=message)


def from_exit_code(code: int, *, started: float | None = None, ended: float | None = None) -> AttemptEnd:
    """The end that an exit code means, by the conventions of a shell."""
    if code == 0:
        return AttemptEnd(status=TaskStatus.SUCCEEDED, exit_code=0, started=started, ended=ended)
    name = signal_name(code - SIGNAL_BASE) if code > SIGNAL_BASE else None
    message = f"killed by {name}" if name else _COMMON_CODES.get(code)
    return AttemptEnd(
        status=TaskStatus.FAILED,
        exit_code=code,
        reason=Reason.SIGNAL if name else Reason.EXIT,
        message=message,
        started=started,
        ended=ended,
    )


_COMMON_CODES: Final = {126: "a program could not be executed", 127: "a program was not found"}


def signal_name(number: int) -> str | None:
    """`SIGTERM` for 15; None for a number that is not a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def signal_number(name: str) -> int:
    """15 for `TERM`, `SIGTERM` or `15`.

    Raises:
        ValueError: the signal does not exist.
    """
    text = name.upper().removeprefix("SIG")
    if text.isdigit():
        return int(signal.Signals(int(text)))
    try:
        return int(signal.Signals["SIG" + text])
    except KeyError:
        raise ValueError(f"there is no signal {name!r}") from None


def short_signal(name: str) -> str:
    """`TERM` for `SIGTERM`, `TERM` or `15`, as `kill -s` takes it."""
    return signal.Signals(signal_number(name)).name.removeprefix("SIG")
