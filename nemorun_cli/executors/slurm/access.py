"""Access to a cluster: its commands, and its view of the files of attempts.

The executor decides only by the attempts' local folders. On a shared file system jobs write there directly;
from a remote cluster, the files are fetched before the executor reads them.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from nemorun_cli.executors.slurm.commands import Commands
from nemorun_cli.executors.slurm.job_script import SECRETS, Secrets, secrets_text
from nemorun_cli.storage import attempts
from nemorun_cli.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.background_commands import PendingCommand
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan

NEWS_EVERY: Final = 0.25  # seconds between checks of the file to which jobs append a line


class ClusterAccess(Protocol):
    """A cluster's commands and files, local or remote.

    Attributes:
        commands: runs Slurm's commands.
    """

    commands: SlurmCommands

    def check(self) -> Iterable[Diagnosis]:
        """Whether the cluster can be reached; Slurm itself is not checked."""
        ...

    def plan(self, plan: Plan) -> Plan:
        """The plan with all paths as the cluster sees them; pure."""
        ...

    def cluster_path(self, path: Path) -> Path:
        """The path of an experiment's file on the cluster."""
        ...

    def submit(
        self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]
    ) -> PendingCommand:
        """Pass a submission to sbatch, with everything that its jobs need.

        Args:
            submission: its files are already written.
            jobs: its attempts.
            secrets: of the attempts that have any, by the attempt's folder.
        """
        ...

    def refresh(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Update the local files of these attempts; returns whether one may have started or finished.

        Args:
            news: the files to which jobs append a line when they start and finish.
            jobs: all tracked attempts.
        """
        ...

    def refresh_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """The same, but wait for the answer, up to a time limit."""
        ...

    def due(self) -> float:
        """The monotonic time of the next refresh."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the files that jobs write cannot be read at present; None if they can."""
        ...

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt is known to have written more than the local files contain."""
        ...

    def shortfall(self, job: Job) -> str | None:
        """Why some files of a finished attempt are missing locally; None if all exist."""
        ...

    def is_current(self, moment: float) -> bool:
        """Whether the local files contain what jobs wrote up to a monotonic time."""
        ...

    def remove_secrets(self, job: Job) -> None:
        """Remove the secrets of an attempt that must not outlive it."""
        ...


class SharedCluster:
    """A cluster whose commands run on this machine, and which shares its file system."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.commands: SlurmCommands = Commands(options)
        self._seen: dict[Path, tuple[int, int]] = {}

    def check(self) -> Iterable[Diagnosis]:
        """Nothing to check: the cluster is local."""
        return ()

    def plan(self, plan: Plan) -> Plan:
        """The plan, unchanged."""
        return plan

    def cluster_path(self, path: Path) -> Path:
        """The same path."""
        return path

    def submit(
        self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]
    ) -> PendingCommand:
        """Call sbatch; the secrets of each attempt are stored in a private file for its job."""
        del jobs
        for folder, values in secrets.items():
            attempts.put(folder / SECRETS, secrets_text(values))
        return self.commands.ask(["sbatch", "--parsable", str(submission.script)])

    def refresh(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Whether a job has started or finished, according to the news files."""
        del jobs
        has_news = False
        for path in news:
            with contextlib.suppress(OSError):  # it does not exist yet, or a task replaced it
                # Opening the file makes a network file system ask its server; stat alone may be cached.
                descriptor = files.descriptor_to_read(path)
                status = os.fstat(descriptor)
                os.close(descriptor)
                version = status.st_mtime_ns, status.st_size
                has_news |= self._seen.get(path) != version
                self._seen[path] = version
        return has_news

    def refresh_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Nothing to fetch."""

    def due(self) -> float:
        """Soon, because a refresh is cheap."""
        return time.monotonic() + NEWS_EVERY

    @property
    def problem(self) -> str | None:
        """None: errors of the file system are raised."""
        return None

    def is_behind(self, job: Job) -> bool:
        """False: this cannot be determined on a shared file system."""
        del job
        return False

    def shortfall(self, job: Job) -> str | None:
        """None: jobs write to the local files."""
        del job
        return None

    def is_current(self, moment: float) -> bool:
        """True: this cannot be determined on a shared file system."""
        del moment
        return True

    def remove_secrets(self, job: Job) -> None:
        """Remove secrets that no job has read."""
        (job.files.directory / SECRETS).unlink(missing_ok=True)
