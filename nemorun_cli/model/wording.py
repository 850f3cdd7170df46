"""Durations, counts and reasons as people read them: each has one wording, used everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT: Final = 10.0  # seconds below which tenths are shown


def seconds(value: float | None) -> str:
    """A duration for people; empty if there is none."""
    if value is None:
        return ""
    return f"{value:.1f}s" if value < SHORT else duration_text(int(value))


def counts(numbers: Mapping[TaskStatus, int]) -> str:
    """How many tasks stand how: `2 SUCCEEDED, 1 RUNNING`."""
    return ", ".join(f"{numbers[status]} {status}" for status in TaskStatus if numbers.get(status))


def why(reason: str | None, message: str | None, exit_code: int | None) -> str:
    """Why a task is where it is, as `reason: message`; empty if there is nothing to say."""
    if reason == Reason.EXIT and not message:
        return f"exit code {exit_code}"
    if reason and message and message.startswith(reason):
        return message  # `cancelled by …` says it already
    return ": ".join(part for part in (reason, message) if part)
