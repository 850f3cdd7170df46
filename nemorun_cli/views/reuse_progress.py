"""What is being done now about the reuse of results: what tasks wait for before they start, or end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Task
    from nemorun_cli.storage.state import ExperimentState, TaskState


def of_task(history: ExperimentState, task: Task) -> str | None:
    """What a task waits for that has nothing else to wait for; None if it waits for nothing of this.

    A supervisor is alive, and results are reused.
    """
    state = history.tasks[task.id]
    if state.status is not TaskStatus.PENDING or not history.external.keys() >= set(task.external):
        return None
    parents = {name: history.tasks[name] for name in task.dependencies}
    if not all(parent.is_over for parent in parents.values()):
        return None
    for name, parent in parents.items():
        if name in history.cached and _is_kept_now(parent):
            return f"the result of {name} is being kept"
    is_looked_for = task.id in history.cached and not state.runs_again and state.not_before is None
    if is_looked_for and state.fingerprint is None and state.cache_note is None:
        return "what it depends on is being read, to find an earlier result"
    return None


def lines(history: ExperimentState) -> list[str]:
    """A line for each result that is being kept, for which the experiment waits."""
    names = (name for name in history.cached if _is_kept_now(history.tasks[name]))
    return [f"the result of {name} is being kept" for name in names]


def _is_kept_now(state: TaskState) -> bool:
    """Whether a task with `cache` has succeeded, and its result is not kept yet."""
    return (
        state.status is TaskStatus.SUCCEEDED
        and state.reason is None
        and state.fingerprint is not None
        and state.was_kept is None
    )
