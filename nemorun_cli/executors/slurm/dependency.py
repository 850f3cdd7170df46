"""Dependencies between jobs as sbatch takes them, and which dependent jobs share a job array. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job, Upstream
    from nemorun_cli.executors.slurm.sbatch_options import Request
    from nemorun_cli.executors.slurm.squeue import QueueRow

# In an attempt's folder: its job did not run the task, because its parents' records do not permit it.
DECLINED: Final = "declined"
DECLINED_BEFORE: Final = "stood-back"  # its name in experiments that began before 0.1.0
# In an attempt's folder: its upstream jobs in Slurm's queue, as `arguments` returns them, each ended by NUL.
UPSTREAM: Final = "behind"
# In an attempt's folder: its job received a signal, so that a failure may be a cancel.
SIGNALLED: Final = "signalled"


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one call of sbatch.

    Attributes:
        jobs: the members.
        request: what all of them request.
        dependency: the value of `--dependency` for all of them; empty for none.
        indices: of the members in the array; None if they are numbered in order.
        each: the request of each member, if they are co-scheduled as steps of one job.
    """

    jobs: Sequence[Job]
    request: Request
    dependency: str = ""
    indices: tuple[int, ...] | None = None
    each: tuple[Request, ...] = ()

    @property
    def is_led(self) -> bool:
        """Whether the members are those of a group that ends with its leader."""
        return any(job.plan is not None and job.plan.ends_company is not None for job in self.jobs)


def batches(
    requests: Iterable[tuple[Job, Request]], *, longest: int, size: Callable[[str], int | None]
) -> Iterator[Batch]:
    """Group the jobs into as few calls of sbatch as possible.

    Args:
        requests: the jobs with their requests.
        longest: how many members an array may have.
        size: returns the number of members of the array with an id; None if no such array is known.
    """
    groups: dict[tuple[Request, str], list[Job]] = {}
    matching: dict[tuple[Request, str], list[Job]] = {}  # each waits for one member of the same array
    coscheduled: dict[str, list[tuple[Job, Request]]] = {}
    for job, request in requests:
        if job.plan is not None and job.plan.company:
            coscheduled.setdefault(job.plan.company, []).append((job, request))
        elif array_id := _upstream_array(job):
            matching.setdefault((request, array_id), []).append(job)
        else:
            groups.setdefault((request, text(job.upstream, size)), []).append(job)
    for members in coscheduled.values():
        each = tuple(request for _, request in members) if len(members) > 1 else ()
        yield Batch([job for job, _ in members], members[0][1], each=each)
    for (request, array_id), jobs in matching.items():
        indices = tuple(int(job.upstream[0].job_id.partition("_")[2]) for job in jobs)
        if 1 < len(jobs) == len(set(indices)):
            yield Batch(jobs, request, f"aftercorr:{array_id}", indices)
            continue
        for job in jobs:
            groups.setdefault((request, text(job.upstream, size)), []).append(job)
    for (request, dependency), jobs in groups.items():
        for first in range(0, len(jobs), longest):
            yield Batch(jobs[first : first + longest], request, dependency)


_TYPES: Final[Mapping[str, str]] = {"success": "afterok", "failure": "afternotok"}


def text(upstream: Sequence[Upstream], size: Callable[[str], int | None]) -> str:
    """The value of `--dependency`, such as `afterok:7:9_3,afterany:12`; a whole array is one id.

    Slurm knows only exit codes. Where these are not sufficient, a job waits for any end, and its script
    checks the records of its parents.
    """
    ids_by_type: dict[str, list[str]] = {}
    any_failure_suffices = sum(parent.need == "failure" for parent in upstream) > 1
    for parent in upstream:
        kind = "afterany" if any_failure_suffices else _TYPES.get(parent.need, "afterany")
        # Slurm accepts only the first component of a heterogeneous job: 7 for 7+1.
        ids_by_type.setdefault(kind, []).append(parent.job_id.partition("+")[0])
    return ",".join(":".join([kind, *_shortened(ids, size)]) for kind, ids in ids_by_type.items())


def parents_of(dependency: str, index: int) -> Iterator[tuple[str, str]]:
    """The type and the id of each job that one member of a submission waits for, from `--dependency`.

    Args:
        dependency: as `text` returns it, or `aftercorr:ID`.
        index: the member's index in its array.
    """
    for group in dependency.split(",") if dependency else ():
        kind, *ids = group.split(":")
        if kind == "aftercorr":
            yield "afterok", f"{ids[0]}_{index}"
        else:
            yield from ((kind, job_id) for job_id in ids)


def excludes(kind: str, parent: QueueRow) -> bool:
    """Whether a job has ended in a way that a dependency of this type does not permit."""
    if parent.phase != "over" or kind == "afterany":
        return False
    return (parent.state == "COMPLETED") is (kind == "afternotok")


def arguments(upstream: Sequence[Upstream], cluster_path: Callable[[Path], Path]) -> list[str]:
    """The dependencies for the job script: need, `secret` or `plain` outputs, and folder of each parent.

    Args:
        upstream: the parents.
        cluster_path: returns a folder's path on the cluster, as in `ClusterAccess`.
    """
    words = []
    for parent in upstream:
        if parent.files is None:
            continue  # its exit code has to do
        folder = cluster_path(parent.files.directory)
        words += [parent.need, "secret" if parent.has_secrets else "plain", str(folder)]
    return words


def array(indices: Sequence[int]) -> str:
    """Indices as `--array` takes them: `0-3,7`."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _shortened(ids: Sequence[str], size: Callable[[str], int | None]) -> list[str]:
    counts = Counter(job_id.partition("_")[0] for job_id in ids if "_" in job_id)
    whole = {array_id for array_id, count in counts.items() if count == size(array_id)}
    return list(
        dict.fromkeys(
            array_id if (array_id := job_id.partition("_")[0]) in whole else job_id for job_id in ids
        )
    )


def _upstream_array(job: Job) -> str | None:
    """The array of the one member whose success a job needs; other jobs may need other members of it."""
    if len(job.upstream) == 1 and job.upstream[0].need == "success" and "_" in job.upstream[0].job_id:
        return job.upstream[0].job_id.partition("_")[0]
    return None
