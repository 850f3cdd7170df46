"""Handlers: tasks that run after all others have finished, depending on the outcome. No side effects."""

from __future__ import annotations

from typing import Final

from nemorun_cli.model.status import ExperimentStatus

RUN_AFTER: Final[dict[str, frozenset[ExperimentStatus]]] = {
    "on_success": frozenset({ExperimentStatus.COMPLETED}),
    "on_failure": frozenset({ExperimentStatus.FAILED}),
    "on_exit": frozenset({ExperimentStatus.COMPLETED, ExperimentStatus.FAILED, ExperimentStatus.CANCELLED}),
}
LAST: Final = "on_exit"  # its handlers wait for those of the other sections

DEFAULT_TIMEOUT: Final = 600.0  # seconds: a handler that hangs must end even if nobody watches
MOST_NAMED: Final = 100  # failed tasks listed in a variable, which the kernel limits to 128 KiB


def mismatch(section: str, outcome: ExperimentStatus) -> str | None:
    """Why handlers of this section do not run after the outcome; None if they do."""
    if outcome in RUN_AFTER[section]:
        return None
    wanted = " or ".join(sorted(RUN_AFTER[section]))
    return f"the experiment is {outcome}, and {section} is for {wanted}"
