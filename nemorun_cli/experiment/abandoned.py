"""Attempts that were given up without the engine's word, and whether they are gone by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.errors import EngineError, UsageError
from nemorun_cli.executors import Job
from nemorun_cli.model.status import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors import AttemptStatus, Key
    from nemorun_cli.model.spec import Task
    from nemorun_cli.views.snapshot import Snapshot


def names(snapshot: Snapshot, among: Iterable[str] | None = None) -> list[str]:
    """The tasks (of some) whose present attempt was abandoned."""
    states = snapshot.history.tasks
    return [name for name in (states if among is None else among) if states[name].reason == Reason.ABANDONED]


def told(snapshot: Snapshot, tasks: Iterable[str]) -> str:
    """What to look for where they ran: `train (attempt 1, job id 4711)`."""
    states = snapshot.history.tasks
    return ", ".join(
        f"{name} (attempt {states[name].attempt}"
        + (f", job id {states[name].job_id})" if states[name].job_id else ")")
        for name in tasks
    )


def refuse_alive(snapshot: Snapshot, *, host_is_gone: bool) -> None:
    """See that what was abandoned is gone, so that nothing runs twice.

    Args:
        snapshot: how the experiment stands.
        host_is_gone: what cannot be seen any more counts as gone.

    Raises:
        UsageError: some of it is alive.
        EngineError: of some it cannot be told.
    """
    given_up = set(names(snapshot))
    if not given_up:
        return
    by_executor: dict[str, list[Task]] = {}
    for task in snapshot.spec.tasks:
        if task.id in given_up:
            by_executor.setdefault(task.executor, []).append(task)
    alive, unknown, messages = [], [], []
    for name, tasks in by_executor.items():
        seen, problem = _look(snapshot, name, tasks)
        for task in tasks:
            sighting = seen.get((task.id, snapshot.history.tasks[task.id].attempt))
            if sighting is None or sighting.state == "unknown":
                unknown.append(task.id)
                messages.append(problem or (sighting.message if sighting else None) or "")
            elif sighting.state in ("queued", "running"):
                alive.append(task.id)
    again = f"exp resume {snapshot.files.id}"
    if alive:
        raise UsageError(
            f"abandoned, but still alive: {told(snapshot, alive)}; its task would run twice",
            hint=f"wait until it is over or end it where it runs, then: {again}",
        )
    if unknown and not host_is_gone:
        why = next((f": {message}" for message in messages if message), "")
        raise EngineError(
            f"abandoned, and it cannot be told whether it still runs: {told(snapshot, unknown)}{why}",
            hint=f"see to it that it is gone, then: {again} --host-is-gone",
        )


def _look(
    snapshot: Snapshot, name: str, tasks: Sequence[Task]
) -> tuple[dict[Key, AttemptStatus], str | None]:
    """What an executor sees of such attempts, or why it sees nothing."""
    jobs = [Job.of(task, snapshot.history.tasks[task.id], snapshot.files) for task in tasks]
    spec = snapshot.spec
    try:
        executor = executors.make(name, spec.executors.get(name, {"type": name}), {})
        try:
            return {one.key: one for one in executor.poll({job.key: job for job in jobs})}, None
        finally:
            executor.close()
    except EngineError as error:
        return {}, error.message
