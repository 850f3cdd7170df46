"""The status of an experiment in the words and the layout of NeMo-Run's `status()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

from nemorun_cli.model.status import LIVE, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.spec import Task
    from nemorun_cli.views.snapshot import Snapshot

UNSUBMITTED: Final = "UNSUBMITTED"  # of a task whose experiment has not started
_CLASSES: Final = {"local": "LocalExecutor", "docker": "DockerExecutor", "slurm": "SlurmExecutor"}


class JobStatus(TypedDict):
    """One job; a group is one job, with the job id of its first member."""

    name: str
    status: str
    executor: str
    job_id: str
    handle: str
    local_dir: str
    members: NotRequired[dict[str, str]]


def of(snapshot: Snapshot) -> dict[str, JobStatus]:
    """The jobs by id, in the order of the spec; handlers are none."""
    by_job: dict[str, list[Task]] = {}
    for task in snapshot.spec.tasks:
        if not task.handler:
            by_job.setdefault(task.group or task.id, []).append(task)
    return {job: _job(snapshot, job, tasks) for job, tasks in by_job.items()}


def before_the_start(jobs: Iterable[Any]) -> dict[str, JobStatus]:
    """The jobs of an experiment that has not started."""
    return {
        job.id: {
            "name": job.id,
            "status": UNSUBMITTED,
            "executor": job.executor.info(),
            "job_id": "",
            "handle": "",
            "local_dir": "",
        }
        for job in jobs
    }


def lines(experiment_id: str, jobs: Mapping[str, JobStatus]) -> Iterator[str]:
    """The text of a status."""
    yield f"Experiment Status for {experiment_id}"
    for number, job in enumerate(jobs.values()):
        yield ""
        yield f"Task {number}: {job['name']}"
        yield f"- Status: {job['status']}"
        yield f"- Executor: {job['executor']}"
        yield f"- Job id: {job['job_id']}"
        yield f"- Local Directory: {job['local_dir']}"


def together(statuses: Sequence[TaskStatus]) -> TaskStatus:
    """The status of a group: what keeps it from being over, else what is worst about its end."""
    order = (
        (TaskStatus.RUNNING, TaskStatus.UNKNOWN, TaskStatus.SUBMITTED, TaskStatus.PENDING)
        if set(statuses) & {*LIVE, TaskStatus.PENDING}
        else (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED, TaskStatus.SUCCEEDED)
    )
    return next(status for status in order if status in statuses)


def _job(snapshot: Snapshot, job: str, tasks: Sequence[Task]) -> JobStatus:
    states = [snapshot.history.tasks[task.id] for task in tasks]
    options = snapshot.spec.executors.get(tasks[0].executor, {})
    kind = str(options.get("type", tasks[0].executor))
    status: JobStatus = {
        "name": job,
        "status": str(together([state.status for state in states])),
        "executor": _executor(kind, options),
        "job_id": next((state.job_id for state in states if state.job_id), ""),
        "handle": f"{kind}://{snapshot.files.id}/{job}",
        "local_dir": str(snapshot.files.task(job)),
    }
    if tasks[0].group is not None:
        status["members"] = {task.id: str(state.status) for task, state in zip(tasks, states, strict=True)}
    return status


def _executor(kind: str, options: Mapping[str, Any]) -> str:
    """The class of an executor, with the host that is reached through ssh."""
    name = _CLASSES.get(kind, kind)
    tunnel = options.get("tunnel")
    if not isinstance(tunnel, dict) or "host" not in tunnel:
        return name
    user = f"{tunnel['user']}@" if tunnel.get("user") else ""
    return f"{name} on {user}{tunnel['host']}"
