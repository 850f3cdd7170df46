"""Whom jobs wait for, in sbatch's words, and which of them share a job array all the same. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job, Upstream
    from nemorun_cli.executors.slurm.sbatch_options import Request

# In an attempt's folder: its job did not run it, for the ends of its parents do not say that it may.
STOOD_BACK: Final = "stood-back"
# In an attempt's folder: whom it waits for in Slurm's queue, as `arguments` tells it, each ended by NUL.
BEHIND: Final = "behind"
# In an attempt's folder: its job was sent a signal, so that its end may be a cancel.
SIGNALLED: Final = "signalled"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one call of sbatch is for.

    Attributes:
        jobs: the members.
        asked: what all of them ask for.
        dependency: whom all of them wait for, as `--dependency` takes it; empty if nobody.
        indices: of the members in the array, if not by their order.
        each: what each of them asks for, if they are to start together, as steps of one job.
    """

    jobs: Sequence[Job]
    asked: Request
    dependency: str = ""
    indices: tuple[int, ...] | None = None
    each: tuple[Request, ...] = ()


def batches(
    requests: Iterable[tuple[Job, Request]], *, longest: Callable[[], int], size: Callable[[str], int | None]
) -> Iterator[Batch]:
    """The jobs in as few calls of sbatch as can be.

    Args:
        requests: the jobs with what they ask for.
        longest: how many members an array may have.
        size: how many members the array of an id has; None for what is not known as one.
    """
    groups: dict[tuple[Request, str], list[Job]] = {}
    twins: dict[tuple[Request, str], list[Job]] = {}
    companies: dict[str, list[tuple[Job, Request]]] = {}
    for job, asked in requests:
        if job.plan is not None and job.plan.company:
            companies.setdefault(job.plan.company, []).append((job, asked))
        elif base := _array_awaited(job):
            twins.setdefault((asked, base), []).append(job)
        else:
            groups.setdefault((asked, text(job.upstream, size)), []).append(job)
    for several in companies.values():
        each = tuple(asked for _, asked in several) if len(several) > 1 else ()
        yield Batch([job for job, _ in several], several[0][1], each=each)
    for (asked, base), jobs in twins.items():
        indices = tuple(int(job.upstream[0].job_id.partition("_")[2]) for job in jobs)
        if 1 < len(jobs) == len(set(indices)):
            yield Batch(jobs, asked, f"aftercorr:{base}", indices)
            continue
        for job in jobs:
            groups.setdefault((asked, text(job.upstream, size)), []).append(job)
    for (asked, dependency), jobs in groups.items():
        most = max(1, longest()) if len(jobs) > 1 else 1
        for first in range(0, len(jobs), most):
            yield Batch(jobs[first : first + most], asked, dependency)


_WORDS: Final[Mapping[str, str]] = {"success": "afterok", "failure": "afternotok"}


def text(behind: Sequence[Upstream], size: Callable[[str], int | None]) -> str:
    """What `--dependency` gets: `afterok:7:9_3,afterany:12`; an array that is waited for whole by its own id.

    Slurm knows exit codes and no more. Where that does not say it all, a job waits for any end, and its
    script looks at the records of its parents.
    """
    found: dict[str, list[str]] = {}
    is_one_of_several = sum(one.need == "failure" for one in behind) > 1
    for one in behind:
        word = "afterany" if is_one_of_several else _WORDS.get(one.need, "afterany")
        # Of a heterogeneous job's components Slurm takes only the first: 7 for 7+1.
        found.setdefault(word, []).append(one.job_id.partition("+")[0])
    return ",".join(":".join([word, *_shortened(ids, size)]) for word, ids in found.items())


def arguments(behind: Sequence[Upstream], place: Callable[[Path], Path]) -> list[str]:
    """The same for the job script: need, whether the outputs may hold secrets, and folder of each.

    Args:
        behind: who is waited for.
        place: where a folder lies for the jobs, as of a `Site`.
    """
    words = []
    for one in behind:
        words += [one.need, "secret" if one.has_secrets else "plain", str(place(one.files.directory))]
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
    whole = {base for base, count in counts.items() if count == size(base)}
    return list(dict.fromkeys(base if (base := one.partition("_")[0]) in whole else one for one in ids))


def _array_awaited(job: Job) -> str | None:
    """The array of whose one member a job needs the success: so may others, each of its own one."""
    if len(job.upstream) == 1 and job.upstream[0].need == "success" and "_" in job.upstream[0].job_id:
        return job.upstream[0].job_id.partition("_")[0]
    return None
