"""A cluster that is reached by ssh: files go there by rsync, and what its jobs write is copied back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.slurm.job_script import SECRETS
from nemorun_cli.executors.slurm.remote import attempt_sync, upload
from nemorun_cli.executors.slurm.remote.connection import Connection
from nemorun_cli.executors.slurm.remote.protocol import WatchedFiles
from nemorun_cli.executors.slurm.remote.remote_paths import RemotePaths, files_of
from nemorun_cli.executors.slurm.remote.results import ResultFetcher
from nemorun_cli.executors.slurm.remote.upload import Upload
from nemorun_cli.executors.slurm.ssh import Tunnel
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.remote.protocol import FilePiece
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan

AT_ONCE: Final = 0.1  # seconds from one look to the next, while more is to be brought
SHORTEST: Final = 0.5  # the same, after something happened
LONGEST: Final = 5.0  # the same, when nothing happens for long
GROWTH: Final = 1.3
FIRST_ANSWER: Final = 20.0  # seconds that a look from outside waits for what has ended to be brought


class RemoteCluster:
    """A cluster on the far side of a tunnel, for one experiment.

    Args:
        options: the executor's, with `tunnel`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = dict(options["tunnel"])
        artifacts = given.pop("artifacts", [])
        self._tunnel = Tunnel.of(given)
        self._trips = Connection(self._tunnel, options, watched=self._watched, take=self._take)
        self.commands: SlurmCommands = self._trips
        self._fetching = ResultFetcher(self._trips, artifacts)
        self._layout: RemotePaths | None = None
        self._jobs: dict[str, Path] = {}  # the attempts' folders here, by their paths in the experiment's
        self._is_common_there = False
        self._shipped: set[str] = set()  # the contents that are there, by their folders in the store
        self._next, self._pause = 0.0, SHORTEST
        self._has_news = False
        self._told: str | None = None  # the trouble that was told last
        self._behind: set[str] = set()

    def check(self) -> Iterable[Diagnosis]:
        """Whether the host lets us in, and has what is needed; asks a person at the terminal."""
        from nemorun_cli.executors.slurm.remote import reachability  # noqa: PLC0415 - only in the foreground

        return reachability.diagnose(self._tunnel, self._trips)

    # -- submitting -------------------------------------------------------------------------------

    def plan(self, plan: Plan) -> Plan:
        """The plan with the experiment's folder, its home and its records where they are there."""
        return self._lay_out(ExperimentFiles(Path(plan.env["EXP_DIR"]))).plan(plan)

    def place(self, path: Path) -> Path:
        """Where a file of the experiment lies there."""
        assert self._layout is not None  # noqa: S101 - whoever asks has planned or looked
        return self._layout.place(path)

    def submit(self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]) -> Upload:
        """Bring the texts there by rsync, then ask sbatch; secrets go by the tunnel alone."""
        jobs = list(jobs)
        layout = self._lay_out(files_of(jobs[0]))
        layout.remember()
        packages = {job.plan.package.store: job.plan.package for job in jobs if job.plan and job.plan.package}
        new = [package for store, package in packages.items() if store not in self._shipped]
        folders = [*(job.files.directory for job in jobs), submission.folder]
        pushes = [
            upload.push_files(layout, self._trips, folders, with_common=not self._is_common_there),
            *(upload.push_code(layout, self._trips, package) for package in new),
        ]
        ask = self._trips.text(["sbatch", "--parsable", str(layout.place(submission.script))])
        text = upload.text(layout, ask, packages=packages.values(), secrets=secrets)

        def done() -> None:
            self._is_common_there = True
            self._shipped.update(packages)

        return Upload(self._trips, pushes, text, done=done)

    def _lay_out(self, files: ExperimentFiles) -> RemotePaths:
        if self._layout is None or self._layout.files != files:
            self._layout = RemotePaths(self._tunnel, files)
            self._trips.experiment = files.id
        return self._layout

    # -- looking ----------------------------------------------------------------------------------

    def look(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Go on looking, ever less often while nothing happens; says whether something was brought."""
        del news
        jobs = list(jobs)
        if jobs:
            layout = self._lay_out(files_of(jobs[0]))
            self._jobs = {str(layout.relative(job.files.directory)): job.files.directory for job in jobs}
            self._fetching.refresh(layout, self._jobs)
        self._trips.arrive()
        if self._told != self._trips.trouble:
            self._told, self._has_news = self._trips.trouble, True
        now = time.monotonic()
        if now >= self._next and self._trips.is_idle:
            self._trips.look()
            self._next = now + self._pause
            self._pause = min(LONGEST, self._pause * GROWTH)
        has_news, self._has_news = self._has_news, False
        return has_news

    def look_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Look until nothing that ended is left to be brought, but not for ever."""
        del news, jobs
        end = time.monotonic() + FIRST_ANSWER
        while self._behind and not self._trips.trouble and (left := end - time.monotonic()) > 0:
            self._fetching.wait(left)
            self._trips.look()
            self._trips.wait(lambda: self._trips.is_idle, left)

    def due(self) -> float:
        """When to look again."""
        return self._next

    @property
    def trouble(self) -> str | None:
        """Why the far side was not reached the last time."""
        return self._trips.trouble

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt wrote more than has been brought."""
        return any(self._jobs.get(folder) == job.files.directory for folder in self._behind)

    def shortfall(self, job: Job) -> str | None:
        """Why not all that an attempt left behind was brought."""
        if self._layout is None:
            return None
        complaint = self._fetching.complaint(str(self._layout.relative(job.files.directory)))
        return complaint and f"not all of its files came back: {complaint}"

    def has_seen(self, moment: float) -> bool:
        """Whether there was a look since; if not, the next one begins at once."""
        if self._trips.looked >= moment:
            return True
        self._next = min(self._next, moment)
        return False

    def forget(self, job: Job) -> None:
        """Remove secrets that no job has read; one that has begun has removed them."""
        secrets = job.plan.secrets if job.plan else _secrets_of(job)
        if secrets and attempts.claimed_pid(job.files) is None:
            self._trips.send(f"rm -f -- {self.place(job.files.directory / SECRETS)}", name="rm")

    def _watched(self) -> WatchedFiles | None:
        if not self._jobs or self._layout is None:
            return None
        known = list(attempt_sync.known(self._jobs))
        return WatchedFiles(root=str(self._layout.folder), folders=list(self._jobs), known=known)

    def _take(self, pieces: Sequence[FilePiece]) -> None:
        changed, self._behind = attempt_sync.take(pieces, self._jobs, is_complete=self._is_complete)
        if changed or self._behind:
            self._has_news = True
            self._pause = SHORTEST
            pause = AT_ONCE if self._behind else SHORTEST
            self._next = min(self._next, time.monotonic() + pause)

    def _is_complete(self, folder: str) -> bool:
        assert self._layout is not None  # noqa: S101 - nothing is brought before it is known from where
        return self._fetching.is_complete(self._layout, folder)


def _secrets_of(job: Job) -> Sequence[str]:
    try:
        found: Sequence[str] = json.loads(job.files.plan.read_bytes())["secrets"]
    except (OSError, ValueError, LookupError):
        return ()
    return found
