"""A cluster that is reached by ssh: files are uploaded by rsync, and what its jobs write is copied back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.slurm.job_script import SECRETS
from nemorun_cli.executors.slurm.remote import attempt_sync, upload
from nemorun_cli.executors.slurm.remote.connection import Connection
from nemorun_cli.executors.slurm.remote.protocol import WatchedFiles
from nemorun_cli.executors.slurm.remote.remote_paths import RemotePaths
from nemorun_cli.executors.slurm.remote.results import ResultFetcher
from nemorun_cli.executors.slurm.remote.upload import Upload
from nemorun_cli.executors.slurm.ssh import Tunnel
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.remote.protocol import FilePiece
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan

AT_ONCE: Final = 0.1  # seconds between refreshes while there is more to fetch
SHORTEST: Final = 0.5  # the same, after an event
LONGEST: Final = 5.0  # the same, after a long time without events
GROWTH: Final = 1.3
FIRST_ANSWER: Final = 20.0  # seconds that the first refresh waits for the files of finished attempts


class RemoteCluster:
    """A cluster behind a tunnel, for one experiment.

    Args:
        options: of the executor, with `tunnel`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        tunnel_options = dict(options["tunnel"])
        artifacts = tunnel_options.pop("artifacts", [])
        self._tunnel = Tunnel.of(tunnel_options)
        self._connection = Connection(
            self._tunnel, options, watched=self._watched, on_pieces=self._write_pieces
        )
        self.commands: SlurmCommands = self._connection
        self._results = ResultFetcher(self._connection, artifacts)
        self._paths: RemotePaths | None = None
        self._folders: dict[str, Path] = {}  # the attempts' local folders, by path in the experiment's folder
        self._has_uploaded_common = False
        self._uploaded: set[str] = set()  # the code packages on the host, by their folders in the store
        self._next = 0.0
        self._pauses = Backoff(first=SHORTEST, longest=LONGEST, growth=GROWTH)
        self._has_news = False
        self._last_problem: str | None = None
        self._behind: set[str] = set()

    def check(self) -> Iterable[Diagnosis]:
        """Whether the host accepts the login and has what is needed; may prompt a person at the terminal."""
        from nemorun_cli.executors.slurm.remote import reachability  # noqa: PLC0415 - only in the foreground

        return reachability.diagnose(self._tunnel, self._connection)

    # -- submitting -------------------------------------------------------------------------------

    def plan(self, plan: Plan) -> Plan:
        """The plan with the remote paths of the experiment's folder, its home and its records."""
        return self._paths_for(ExperimentFiles(Path(plan.env["EXP_DIR"]))).plan(plan)

    def cluster_path(self, path: Path) -> Path:
        """The remote path of an experiment's file."""
        assert self._paths is not None  # noqa: S101 - set by `plan` and `refresh`, which come first
        return self._paths.remote(path)

    def submit(self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]) -> Upload:
        """Upload the files by rsync, then call sbatch; secrets are sent only through ssh."""
        jobs = list(jobs)
        paths = self._paths_for(jobs[0].experiment_files)
        paths.save()
        packages = {job.plan.package.store: job.plan.package for job in jobs if job.plan and job.plan.package}
        new = [package for store, package in packages.items() if store not in self._uploaded]
        folders = [*(job.files.directory for job in jobs), submission.folder]
        pushes = [
            upload.push_files(paths, self._connection, folders, with_common=not self._has_uploaded_common),
            *(upload.push_code(paths, self._connection, package) for package in new),
        ]
        sbatch = self._connection.text(["sbatch", "--parsable", str(paths.remote(submission.script))])
        text = upload.text(paths, sbatch, packages=packages.values(), secrets=secrets)

        def on_uploaded() -> None:
            self._has_uploaded_common = True
            self._uploaded.update(packages)

        return Upload(self._connection, pushes, text, on_uploaded=on_uploaded)

    def _paths_for(self, files: ExperimentFiles) -> RemotePaths:
        if self._paths is None or self._paths.files != files:
            self._paths = RemotePaths(self._tunnel, files)
            self._connection.experiment = files.id
        return self._paths

    # -- fetching ---------------------------------------------------------------------------------

    def refresh(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Fetch new files, at growing intervals while nothing changes; returns whether anything changed."""
        del news
        jobs = list(jobs)
        if jobs:
            paths = self._paths_for(jobs[0].experiment_files)
            self._folders = {str(paths.relative(job.files.directory)): job.files.directory for job in jobs}
            self._results.refresh(paths, self._folders)
        self._connection.receive()
        if self._last_problem != self._connection.problem:
            self._last_problem, self._has_news = self._connection.problem, True
        now = time.monotonic()
        if now >= self._next and self._connection.is_idle:
            self._connection.request_refresh()
            self._next = self._pauses.due()
        has_news, self._has_news = self._has_news, False
        return has_news

    def refresh_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Fetch until the files of all finished attempts exist locally, at most `FIRST_ANSWER` seconds."""
        del news, jobs
        end = time.monotonic() + FIRST_ANSWER
        while self._behind and not self._connection.problem and (remaining := end - time.monotonic()) > 0:
            self._results.wait(remaining)
            self._connection.request_refresh()
            self._connection.wait(lambda: self._connection.is_idle, remaining)

    def due(self) -> float:
        """The monotonic time of the next refresh."""
        return self._next

    @property
    def problem(self) -> str | None:
        """Why the last round trip to the remote host failed."""
        return self._connection.problem

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt wrote more than has been fetched."""
        return any(self._folders.get(folder) == job.files.directory for folder in self._behind)

    def shortfall(self, job: Job) -> str | None:
        """Why some files of a finished attempt were not fetched."""
        if self._paths is None:
            return None
        complaint = self._results.complaint(str(self._paths.relative(job.files.directory)))
        return complaint and f"not all of its files were fetched: {complaint}"

    def is_current(self, moment: float) -> bool:
        """Whether a round trip started after this time succeeded; if not, the next one starts at once."""
        if self._connection.last_success >= moment:
            return True
        self._next = min(self._next, moment)
        return False

    def remove_secrets(self, job: Job) -> None:
        """Remove secrets that no job has read; a job that has started has removed them itself."""
        secrets = job.plan.secrets if job.plan else _secrets_of(job)
        if secrets and attempts.claimed_pid(job.files) is None:
            self._connection.send(f"rm -f -- {self.cluster_path(job.files.directory / SECRETS)}", name="rm")

    def _watched(self) -> WatchedFiles | None:
        if not self._folders or self._paths is None:
            return None
        known = list(attempt_sync.known_files(self._folders))
        return WatchedFiles(root=str(self._paths.folder), folders=list(self._folders), known=known)

    def _write_pieces(self, pieces: Sequence[FilePiece]) -> None:
        changed, self._behind = attempt_sync.write_pieces(
            pieces, self._folders, is_complete=self._is_complete
        )
        if changed or self._behind:
            self._has_news = True
            self._pauses.reset()
            advances = changed or self._results.is_fetching  # a full disk does not
            pause = AT_ONCE if self._behind and advances else SHORTEST
            self._next = min(self._next, time.monotonic() + pause)

    def _is_complete(self, folder: str) -> bool:
        assert self._paths is not None  # noqa: S101 - set before anything is fetched
        return self._results.is_complete(self._paths, folder)


def _secrets_of(job: Job) -> Sequence[str]:
    try:
        secrets: Sequence[str] = json.loads(job.files.read(job.files.plan))["secrets"]
    except (OSError, ValueError, LookupError):
        return ()
    return secrets
