"""Attempts abandoned without confirmation from their engine, and whether they still run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli import executors
from nemorun_cli.errors import EngineError, UsageError
from nemorun_cli.executors import AttemptStatus, Job
from nemorun_cli.model.status import Reason
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors import Key
    from nemorun_cli.model.spec import Task
    from nemorun_cli.views.snapshot import Snapshot


def names(snapshot: Snapshot, among: Iterable[str] | None = None) -> list[str]:
    """The tasks whose current attempt was abandoned; with `among`, only those of them."""
    states = snapshot.history.tasks
    return [name for name in (states if among is None else among) if states[name].reason == Reason.ABANDONED]


def description(snapshot: Snapshot, tasks: Iterable[str]) -> str:
    """The attempts to look for on their hosts: `train (attempt 1, job id 4711)`."""
    states = snapshot.history.tasks
    return ", ".join(
        f"{name} (attempt {states[name].attempt}"
        + (f", job id {states[name].job_id})" if states[name].job_id else ")")
        for name in tasks
    )


def refuse_alive(snapshot: Snapshot, *, host_is_gone: bool) -> None:
    """Refuse to continue while an abandoned attempt may still run, so that no task runs twice.

    Args:
        snapshot: the current state of the experiment.
        host_is_gone: whether an attempt whose state is unknown counts as terminated.

    Raises:
        UsageError: an abandoned attempt is alive.
        EngineError: the state of an abandoned attempt is unknown.
    """
    abandoned = set(names(snapshot))
    if not abandoned:
        return
    by_executor: dict[str, list[Task]] = {}
    for task in snapshot.tasks:
        if task.id in abandoned:
            by_executor.setdefault(task.executor, []).append(task)
    alive, unknown, messages = [], [], []
    for name, tasks in by_executor.items():
        statuses, problem = _look(snapshot, name, tasks)
        for task in tasks:
            status = statuses.get((task.id, snapshot.history.tasks[task.id].attempt))
            if status is None or status.state == "unknown":
                unknown.append(task.id)
                messages.append(problem or (status.message if status else None) or "")
            elif status.state in ("queued", "running"):
                alive.append(task.id)
    resume = f"exp resume {snapshot.files.id}"
    if alive:
        raise UsageError(
            f"abandoned, but still alive: {description(snapshot, alive)}; its task would run twice",
            hint=f"wait until it has finished or terminate it on its host, then: {resume}",
        )
    if unknown and not host_is_gone:
        cause = next((f": {message}" for message in messages if message), "")
        raise EngineError(
            f"abandoned, and may still be running: {description(snapshot, unknown)}{cause}",
            hint=f"make sure that it has terminated, then: {resume} --host-is-gone",
        )


def _look(
    snapshot: Snapshot, name: str, tasks: Sequence[Task]
) -> tuple[dict[Key, AttemptStatus], str | None]:
    """The statuses that an executor reports for abandoned attempts, or why it cannot report any."""
    jobs = [Job.of(task, snapshot.history.tasks[task.id], snapshot.files) for task in tasks]
    spec, files = snapshot.spec, snapshot.files
    is_asked = name not in creation_mark.backends(spec) or creation_mark.is_own(
        Home(files.home), files, spec, snapshot.history.supervisor
    )
    if not is_asked:
        return {}, creation_mark.NOT_OBSERVED
    try:
        executor = executors.make(name, spec.executors.get(name, {"type": name}), {})
        try:
            answers = executor.poll({job.key: job for job in jobs})
            return {answer.key: answer for answer in answers if isinstance(answer, AttemptStatus)}, None
        finally:
            executor.close()
    except EngineError as error:
        return {}, error.message
