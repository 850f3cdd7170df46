"""What an executor can do, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.group_hosts import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberNetwork:
    """A network on which the members of a group reach each other.

    Attributes:
        name: what it is called; members on executors with the same name find each other.
        host: the host of every task on it, such as 127.0.0.1; None if each has the names in `Plan.aliases`.
    """

    name: str
    host: str | None = None


THIS_MACHINE: Final = MemberNetwork(name="this machine", host=LOOPBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an executor can do with its options; nothing else of `exp` depends on an executor's type.

    Attributes:
        counts_toward_max_parallel: whether its tasks count toward `run.max_parallel` if that is not set.
        runs_here: whether tasks are processes of this machine, with its files and its Python, so that
            callables are looked up before the start and `--direct` is possible.
        has_remote_paths: whether tasks may see folders that do not exist on this machine.
        is_remote: whether tasks run on another host that does not have the folders of this machine.
        has_machine: whether tasks share capacity of this machine; the executor then has `machine`.
        checks_requests: whether requests for resources can be checked; it then has `why_unsatisfiable`.
        queues_early: whether jobs can wait in its engine's queue for other jobs; it then has `queue`.
        is_container: whether tasks run in containers, in which most of `$EXP_DIR` is read-only.
        ends_groups: whether the job of a group with `together` stops the other members, also without a
            supervisor, when the group ends with its leader.
        knows_jobs: whether it reports the end of a job of its engine that `exp` did not submit; it then has
            `foreign_end(job_id)`.
        separates_stderr: whether standard error gets a file of its own without `stderr_to_stdout`.
        names_files: whether its options name files of this machine; its class then has `missing_files`.
        leaves_objects: whether objects of its engine can outlive an experiment; its class then has
            `leftovers` and `remove_leftover`.
        member_network: where the members of a group find each other; None if that is not known before they
            run, or if they do not.
        measures: whether it measures what its running attempts use; it then has `sample` and `samples`.
        records_samples: whether jobs append what they use to the file `AttemptFiles.samples`, every
            `Plan.sampling` seconds.
        submits_arrays: whether attempts that are submitted in one call cost its engine less than one by one.
        environment_host: the host on which Python environments are made for its tasks, if that is not this
            machine; it then has `environments`.
        identifies_image: whether its tasks run in an image whose content it identifies; it then has `image`.
        result_options: those of its options on which the results of tasks depend, such as how many processes
            it starts, by name, in a form for JSON.
        shares_objects: whether the tasks of an experiment share objects of its engine; its class then has
            `remove_shared`.
    """

    @property
    def has_own_files(self) -> bool:
        """Whether paths that tasks name are those of an image or of another host, and not of this machine."""
        return self.is_container or self.has_remote_paths

    counts_toward_max_parallel: bool = True
    runs_here: bool = False
    has_remote_paths: bool = False
    is_remote: bool = False
    has_machine: bool = False
    checks_requests: bool = False
    queues_early: bool = False
    is_container: bool = False
    ends_groups: bool = False
    knows_jobs: bool = False
    separates_stderr: bool = False
    names_files: bool = False
    leaves_objects: bool = False
    member_network: MemberNetwork | None = None
    environment_host: str | None = None
    identifies_image: bool = False
    shares_objects: bool = False
    measures: bool = False
    records_samples: bool = False
    submits_arrays: bool = False
    result_options: Mapping[str, Any] = field(default_factory=dict)
