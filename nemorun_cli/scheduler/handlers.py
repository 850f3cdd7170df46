"""The environment variables of handlers, which describe the outcome of the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.model.clock import seconds_between
from nemorun_cli.model.handlers import MOST_NAMED
from nemorun_cli.model.status import EXIT_CODES, ExperimentStatus, TaskStatus

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.state import ExperimentState


def variables(spec: Spec, history: ExperimentState) -> dict[str, str]:
    """Return the variables that are added to the environment of handlers."""
    outcome = history.outcome or ExperimentStatus.COMPLETED
    states = [(task, history.tasks[task.id]) for task in spec.tasks if task.handler is None]
    failed = [task.id for task, state in states if state.status is TaskStatus.FAILED]
    begin = history.resumed or history.started
    end = max((state.ended for _, state in states if state.ended), default=None)
    seconds = seconds_between(begin, end) if begin and end else 0.0
    return {
        "EXP_STATUS": str(outcome),
        "EXP_EXIT_CODE": str(EXIT_CODES[outcome]),
        "EXP_FAILED_COUNT": str(len(failed)),
        "EXP_FAILED_TASKS": " ".join(failed[:MOST_NAMED]),
        "EXP_DURATION": f"{seconds:.0f}",
    }
