"""Where the members of a group run, as far as their job knows it when it starts. Pure.

A job knows its own nodes: the members of a co-scheduled group are in one job. An attempt of a retry is in a
job of its own, and finds those that still run in the files of their attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.executors.slurm.het_job import components, nodes_of_each
from nemorun_cli.model import group_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from nemorun_cli.executors.slurm.dependency import Batch

WHOLE_JOB: Final = "SLURM_JOB_NODELIST"
WHOLE_COMPONENT: Final = "SLURM_JOB_NODELIST_HET_GROUP_{}"


class NodeSlice(NamedTuple):
    """The nodes of a member, as a part of a list that its job has in a variable.

    Without a `first`, they are the whole list, but only if it has `length` nodes, if that is given.
    """

    variable: str
    first: int | None = None
    length: int | None = None


def nodes(batch: Batch) -> list[NodeSlice]:
    """The nodes of each member of a submission."""
    if not batch.each:
        return [NodeSlice(WHOLE_JOB)] * len(batch.jobs)
    if len(components(batch.each)) > 1:
        return [NodeSlice(WHOLE_COMPONENT.format(number)) for number in range(len(batch.each))]
    plan = batch.jobs[0].plan
    assert plan is not None  # noqa: S101 - only attempts with plans are submitted
    if (count := nodes_of_each(batch.each, plan.argv)) is None:
        return [NodeSlice(WHOLE_JOB, length=1)] * len(batch.each)  # of several nodes, srun chooses
    return [NodeSlice(WHOLE_JOB, number * count, count) for number in range(len(batch.each))]


def words(batch: Batch, index: int, slices: Sequence[NodeSlice], others: Mapping[str, PurePath]) -> list[str]:
    """What the script of a member needs: name, variable and nodes of each member that it can know.

    Args:
        batch: the submission.
        index: the member's position in it.
        slices: what `nodes` returns for it.
        others: the folders of attempts of other members, by task, which run in other jobs.
    """
    plan = batch.jobs[index].plan
    if plan is None or not plan.peers:
        return []
    found: list[str] = []
    for number, (job, own) in enumerate(zip(batch.jobs, slices, strict=True)):
        if batch.each or number == index:
            name = plan.peers[job.task]
            limits = ("" if limit is None else str(limit) for limit in (own.first, own.length))
            found += [name, group_hosts.variable(name), own.variable, *limits]
    for task, folder in others.items():
        name = plan.peers[task]
        found += [name, group_hosts.variable(name), str(folder), "", ""]
    return found
