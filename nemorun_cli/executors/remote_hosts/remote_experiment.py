"""One experiment on a remote host: its paths, uploads, and local copies of what its attempts write there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.remote_hosts import attempt_sync, upload
from nemorun_cli.executors.remote_hosts.protocol import EVIDENCE, WatchedFiles
from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths
from nemorun_cli.executors.remote_hosts.results import ResultFetcher
from nemorun_cli.executors.remote_hosts.upload import Upload
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.executors.remote_hosts.connection import Connection
    from nemorun_cli.executors.remote_hosts.protocol import FilePiece
    from nemorun_cli.storage.paths import ExperimentFiles

AT_ONCE: Final = 0.1  # seconds between refreshes while there is more to fetch
SHORTEST: Final = 0.5  # the same, after an event
LONGEST: Final = 5.0  # the same, after a long time without events
GROWTH: Final = 1.3
FIRST_ANSWER: Final = 20.0  # seconds that the first refresh waits for the files of finished attempts


class RemoteExperiment:
    """Copies the files of one experiment to a remote host and back.

    Args:
        connection: to the host.
        note_of: the local file that keeps the remote folder of an experiment.
        artifacts: globs of the files in the experiment's folder to fetch.
        names: the files of an attempt that determine its state, the exit record last.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        note_of: Callable[[ExperimentFiles], Path],
        artifacts: Sequence[str] = (),
        names: Sequence[str] = EVIDENCE,
    ) -> None:
        self.connection = connection
        connection.watch(self._watched, self._write_pieces)
        self._results = ResultFetcher(connection, artifacts)
        self._note_of, self._names = note_of, names
        self._paths: RemotePaths | None = None
        self._folders: dict[str, Path] = {}  # the attempts' local folders, by path in the experiment's folder
        self._has_uploaded_common = False
        self._uploaded: set[str] = set()  # the code packages on the host, by their folders in the store
        self._next = 0.0
        self._pauses = Backoff(first=SHORTEST, longest=LONGEST, growth=GROWTH)
        self._has_news = False
        self._last_problem: str | None = None
        self._behind: set[str] = set()

    def paths_for(self, files: ExperimentFiles) -> RemotePaths:
        """The local and remote folders of an experiment."""
        if self._paths is None or self._paths.files != files:
            self._paths = RemotePaths(self.connection.tunnel, files, note=self._note_of(files))
            self.connection.experiment = files.id
        return self._paths

    def remote_path(self, path: Path) -> Path:
        """The remote path of an experiment's file."""
        assert self._paths is not None  # noqa: S101 - set by `paths_for`, which is called first
        return self._paths.remote(path)

    @property
    def remote_home(self) -> Path:
        """The remote folder of all experiments of this home."""
        assert self._paths is not None  # noqa: S101 - as above
        return self._paths.home

    def start(
        self,
        jobs: Sequence[Job],
        command: str,
        *,
        name: str,
        folders: Iterable[Path] = (),
        private: Mapping[Path, str],
    ) -> Upload:
        """Upload the files of attempts by rsync, then run a command; secrets are sent only through ssh.

        Args:
            jobs: the attempts.
            command: the shell text to run on the host.
            name: of the command.
            folders: further folders in the experiment's folder to upload.
            private: texts with secrets, by the local path of the file that has each on the host.
        """
        paths = self.paths_for(jobs[0].experiment_files)
        paths.save()
        packages = {job.plan.package.store: job.plan.package for job in jobs if job.plan and job.plan.package}
        new = [package for store, package in packages.items() if store not in self._uploaded]
        uploaded = [*(job.files.directory for job in jobs), *folders]
        pushes = [
            upload.push_files(paths, self.connection, uploaded, with_common=not self._has_uploaded_common),
            *(upload.push_code(paths, self.connection, package) for package in new),
        ]
        text = upload.text(paths, command, packages=packages.values(), private=private)

        def on_uploaded() -> None:
            self._has_uploaded_common = True
            self._uploaded.update(packages)

        return Upload(self.connection, pushes, text, name=name, on_uploaded=on_uploaded)

    def refresh(self, jobs: Iterable[Job], *, before: Callable[[], None] = lambda: None) -> bool:
        """Fetch new files, at growing intervals while nothing changes; returns whether anything changed.

        `before` is called before a round trip is requested, which then also carries its requests.
        """
        jobs = list(jobs)
        if jobs:
            paths = self.paths_for(jobs[0].experiment_files)
            self._folders = {str(paths.relative(job.files.directory)): job.files.directory for job in jobs}
            self._results.refresh(paths, self._folders)
        self.connection.receive()
        if self._last_problem != self.connection.problem:
            self._last_problem, self._has_news = self.connection.problem, True
        now = time.monotonic()
        if now >= self._next and self.connection.is_idle:
            before()
            self.connection.request_refresh()
            self._next = self._pauses.due()
        has_news, self._has_news = self._has_news, False
        return has_news

    def refresh_now(self) -> None:
        """Fetch until the files of all finished attempts exist locally, at most `FIRST_ANSWER` seconds."""
        end = time.monotonic() + FIRST_ANSWER
        while self._behind and not self.connection.problem and (remaining := end - time.monotonic()) > 0:
            self._results.wait(remaining)
            self.connection.request_refresh()
            self.connection.wait(lambda: self.connection.is_idle, remaining)

    def due(self) -> float:
        """The monotonic time of the next refresh; while a round trip is on its way, that wakes the caller."""
        return self._next if self.connection.is_idle else time.monotonic() + LONGEST

    def hurry(self) -> None:
        """Refresh soon, because something is about to change."""
        self._pauses.reset()
        self._next = min(self._next, time.monotonic() + SHORTEST)

    @property
    def problem(self) -> str | None:
        """Why the last round trip to the remote host failed."""
        return self.connection.problem

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
        if self.connection.last_success >= moment:
            return True
        self._next = min(self._next, moment)
        return False

    def _watched(self) -> WatchedFiles | None:
        if not self._folders or self._paths is None:
            return None
        known = list(attempt_sync.known_files(self._folders, self._names))
        return WatchedFiles(
            root=str(self._paths.folder), folders=list(self._folders), known=known, names=self._names
        )

    def _write_pieces(self, pieces: Sequence[FilePiece]) -> None:
        changed, self._behind = attempt_sync.write_pieces(
            pieces, self._folders, is_complete=self._is_complete, names=self._names
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
