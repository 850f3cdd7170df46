"""The end of an attempt: its exit code, or the reason why it has none."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNAL_BASE: Final = 128  # a shell reports termination by signal n as exit code 128+n


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, as it goes to the ledger and comes back; None is what is not known.

    Attributes:
        started: when it started, in Unix seconds.
        ended: when it ended, in Unix seconds.
        outputs: what it wrote to `$EXP_OUTPUT`.
        symptom: the pattern of `retry.on` that its log matches.
        job_id: what the engine calls it.
        evidence: what the end is known by.
    """

    status: TaskStatus
    exit_code: int | None = None
    reason: Reason | None = None
    message: str | None = None
    started: float | None = None
    ended: float | None = None
    usage: Usage | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    symptom: str | None = None
    job_id: str | None = None
    evidence: str | None = None

    def to_event(self) -> dict[str, Any]:
        """The fields of the ledger's event `ended`, but for its time; unknown ones are left out.

        When it started is in an event of its own.
        """
        fields = {
            "status": self.status,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "message": self.message,
            "outputs": dict(self.outputs) or None,
            "usage": self.usage.to_json() if self.usage else None,
            "symptom": self.symptom,
            "job_id": self.job_id,
            "evidence": self.evidence,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """The end that an event `ended` records."""
        reason, usage = event.get("reason"), event.get("usage")
        return cls(
            status=TaskStatus(event["status"]),
            exit_code=event.get("exit_code"),
            reason=None if reason is None else Reason(reason),
            message=event.get("message"),
            ended=unix(event["time"]),
            usage=Usage.from_json(usage) if usage else None,
            outputs=event.get("outputs", {}),
            symptom=event.get("symptom"),
            job_id=event.get("job_id"),
            evidence=event.get("evidence"),
        )


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


@lru_cache(maxsize=16)
def short_signal(name: str) -> str:
    """`TERM` for `SIGTERM`, `TERM` or `15`, as `kill -s` takes it."""
    return signal.Signals(signal_number(name)).name.removeprefix("SIG")
