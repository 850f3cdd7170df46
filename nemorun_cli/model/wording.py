"""Durations, counts and reasons as text, each with a single wording for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT: Final = 10.0  # seconds below which tenths are shown


def seconds(value: float | None) -> str:
    """A duration as text; empty for None."""
    if value is None:
        return ""
    return f"{value:.1f}s" if value < SHORT else duration_text(int(value))


def counts(numbers: Mapping[TaskStatus, int]) -> str:
    """The number of tasks in each state: `2 SUCCEEDED, 1 RUNNING`."""
    return ", ".join(f"{numbers[status]} {status}" for status in TaskStatus if numbers.get(status))


def why(reason: str | None, message: str | None, exit_code: int | None) -> str:
    """The reason for a task's status, as `reason: message`; empty if neither is known."""
    if reason == Reason.EXIT and not message and exit_code is not None:
        return f"exit code {exit_code}"
    if reason and message and message.startswith(reason):
        return message  # `cancelled by …` already contains the reason
    return ": ".join(part for part in (reason, message) if part)
