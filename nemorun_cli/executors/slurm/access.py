"""Where a cluster is: its commands, and the files of attempts as its jobs see and write them.

The executor decides by the attempts' own folders alone. Where jobs write straight into these there is
nothing to do; from elsewhere what was written has to be brought before the executor looks.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from nemorun_cli.executors.slurm.commands import Commands
from nemorun_cli.executors.slurm.job_script import SECRETS, Secrets, secrets_text
from nemorun_cli.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.slurm.commands import PendingCommand, SlurmCommands
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan

NEWS_EVERY: Final = 0.25  # seconds between looks at the file to which jobs add a line


class ClusterAccess(Protocol):
    """A cluster's commands and files, here or far away.

    Attributes:
        commands: how Slurm is asked.
    """

    commands: SlurmCommands

    def check(self) -> Iterable[Diagnosis]:
        """Whether the way there is well; what lies behind it is not looked at."""
        ...

    def plan(self, plan: Plan) -> Plan:
        """The plan with all paths as they are there; pure."""
        ...

    def place(self, path: Path) -> Path:
        """Where a file of an experiment lies there."""
        ...

    def submit(
        self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]
    ) -> PendingCommand:
        """Hand a submission to sbatch, with all that its jobs need.

        Args:
            submission: its texts are written.
            jobs: the attempts that it is for.
            secrets: of those that have any, by the attempt's folder.
        """
        ...

    def look(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Bring what the jobs of these attempts wrote; says whether one may have begun or ended.

        Args:
            news: the files to which jobs add a line when they begin and end.
            jobs: the attempts that are looked after.
        """
        ...

    def look_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """The same, for who looks only once: waits for the answer, but not for ever."""
        ...

    def due(self) -> float:
        """The monotonic time of the next look."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why what jobs wrote cannot be seen now; None if it can."""
        ...

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt wrote more than is to be seen here by now."""
        ...

    def shortfall(self, job: Job) -> str | None:
        """Why not all that an attempt left behind is here, though it has ended; None if it is."""
        ...

    def has_seen(self, moment: float) -> bool:
        """Whether what jobs wrote up to a monotonic time is to be seen here."""
        ...

    def forget(self, job: Job) -> None:
        """Remove what must not outlive an attempt."""
        ...


class SharedCluster:
    """A cluster whose commands are on this machine, and which shares its file system."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.commands: SlurmCommands = Commands(options)
        self._seen: dict[Path, tuple[int, int]] = {}

    def check(self) -> Iterable[Diagnosis]:
        """There is no way to go."""
        return ()

    def plan(self, plan: Plan) -> Plan:
        """The plan as it is."""
        return plan

    def place(self, path: Path) -> Path:
        """The same path."""
        return path

    def submit(
        self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]
    ) -> PendingCommand:
        """Ask sbatch; each attempt's secrets wait for its job in a private file."""
        del jobs
        for folder, values in secrets.items():
            files.write(folder / SECRETS, secrets_text(values))
        return self.commands.ask(["sbatch", "--parsable", str(submission.script)])

    def look(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Whether a job has begun or ended, as it says itself in a file."""
        del jobs
        has_news = False
        for path in news:
            with contextlib.suppress(FileNotFoundError):
                # Opened and not only looked at, so that a network file system asks its server.
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                seen = os.fstat(descriptor)
                os.close(descriptor)
                mark = seen.st_mtime_ns, seen.st_size
                has_news |= self._seen.get(path) != mark
                self._seen[path] = mark
        return has_news

    def look_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Nothing has to be brought."""

    def due(self) -> float:
        """Soon, for it costs little."""
        return time.monotonic() + NEWS_EVERY

    @property
    def trouble(self) -> str | None:
        """None: what a file system that fails has to say is raised."""
        return None

    def is_behind(self, job: Job) -> bool:
        """Never, as far as can be known."""
        del job
        return False

    def shortfall(self, job: Job) -> str | None:
        """None: it was written here."""
        del job
        return None

    def has_seen(self, moment: float) -> bool:
        """Always, as far as can be known."""
        del moment
        return True

    def forget(self, job: Job) -> None:
        """Remove secrets that no job has read."""
        (job.files.directory / SECRETS).unlink(missing_ok=True)
