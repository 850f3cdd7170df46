"""Fetches records and artifacts from the remote host; `attempt_sync` writes the evidence of attempts."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.remote_hosts import ssh_client
from nemorun_cli.executors.remote_hosts.attempt_sync import COPIES, RECORDS
from nemorun_cli.executors.remote_hosts.connection import TRANSFER_TIMEOUT
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import OWN_NAMES
from nemorun_cli.system import files
from nemorun_cli.system.files import make_folder
from nemorun_cli.tracking.store.record_paths import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.executors.background_commands import LocalCommand
    from nemorun_cli.executors.remote_hosts.connection import Connection
    from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths

ARTIFACTS: Final = "artifacts"  # in an attempt's folder: the files that were fetched from its workdir
NO_REASON: Final = "rsync failed without an error message"
RECORDS_EVERY: Final = 10.0  # seconds between fetches of the records of running tasks


class ResultFetcher:
    """Fetches records while tasks run, and all remaining files when they have finished.

    Args:
        connection: to the remote host.
        artifacts: globs of the files in the experiment's folder to fetch.
    """

    def __init__(self, connection: Connection, artifacts: Sequence[str]) -> None:
        self._connection, self._artifacts = connection, artifacts
        self._complaints: dict[str, str] = {}
        self._running: dict[str, list[LocalCommand]] = {}
        self._done: set[str] = set()
        self._live: LocalCommand | None = None
        self._next = 0.0

    def is_complete(self, paths: RemotePaths, folder: str) -> bool:
        """Whether all files of a finished attempt exist locally; starts to fetch them if not."""
        if folder in self._done:
            return True
        if folder not in self._running:
            commands = self._fetch_records(paths, [paths.files.directory / folder])
            commands += self._fetch_artifacts(paths, paths.files.directory / folder)
            if not commands:
                return True
            self._running[folder] = commands
            return False
        answers = [(command, command.answer()) for command in self._running[folder]]
        if any(answer is None for _, answer in answers):
            return False
        del self._running[folder]
        if any(
            answer and ssh_client.is_connection_failure(command.argv, answer.code, answer.complaint)
            for command, answer in answers
        ):
            return False
        self._done.add(folder)
        if failed := [answer for _, answer in answers if answer and not answer.is_good]:
            self._complaints[folder] = "; ".join(answer.complaint or NO_REASON for answer in failed)
        return True

    @property
    def is_fetching(self) -> bool:
        """Whether files of finished attempts are being fetched."""
        return bool(self._running)

    def complaint(self, folder: str) -> str | None:
        """The error of rsync if some files of a finished attempt could not be fetched."""
        return self._complaints.get(folder)

    def refresh(self, paths: RemotePaths, folders: Mapping[str, Path]) -> None:
        """Fetch the records of running tasks, every `RECORDS_EVERY` seconds."""
        now = time.monotonic()
        if now < self._next or (self._live is not None and self._live.answer() is None):
            return
        self._next = now + RECORDS_EVERY
        tracked = [folder for folder in folders.values() if (folder / COPIES[RECORDS]).exists()]
        with contextlib.suppress(OSError):  # a full disk: they are fetched later
            self._live = next(iter(self._fetch_records(paths, tracked)), None) if tracked else None

    def wait(self, seconds: float) -> None:
        """Wait for the running fetches of finished attempts, at most `seconds` for each."""
        for command in [command for commands in self._running.values() for command in commands]:
            command.wait(seconds)

    def _fetch_records(self, paths: RemotePaths, attempt_folders: Sequence[Path]) -> list[LocalCommand]:
        """Fetch the records of attempts to the root that the spec sets, and register their local paths."""
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - only for tasks that track something

        prefixes: list[str] = []
        root = None
        for folder in attempt_folders:
            registered = supervisor_api.registered(folder / COPIES[RECORDS])
            own = list(dict.fromkeys(prefix for place, prefix in registered if place == str(paths.records)))
            if own and (plan := _plan(folder)):
                root = Path(plan["details"]["records"])
                lines = [json.dumps({"dash_root": str(root), "prefix": prefix}) for prefix in own]
                attempts.put(folder / RECORDS, "".join(f"{line}\n" for line in lines))
                prefixes += own
        if root is None:
            return []
        make_folder(root)
        names = "\0".join(f"{prefix}/{RECORD}" for prefix in dict.fromkeys(prefixes))
        return [self._rsync("--from0", "--files-from=-", source=paths.records, target=root, stdin=names)]

    def _fetch_artifacts(self, paths: RemotePaths, attempt: Path) -> Sequence[LocalCommand]:
        """Fetch the plan's artifacts from the workdir, and the tunnel's from the experiment's folder."""
        commands = []
        plan = _plan(attempt)
        if globs := plan.get("artifacts"):
            target = attempt / ARTIFACTS
            make_folder(target)
            commands.append(self._rsync(*rules(globs), source=Path(plan["workdir"]), target=target))
        if self._artifacts:
            protected = (f"--exclude=/{name}" for name in OWN_NAMES)
            flags = [*protected, *rules(self._artifacts)]
            commands.append(self._rsync(*flags, source=paths.folder, target=paths.files.directory))
        return commands

    def _rsync(self, *flags: str, source: Path, target: Path, stdin: str = "") -> LocalCommand:
        tunnel = self._connection.tunnel
        argv = tunnel.rsync("-rpt", *flags, "--", f"{tunnel.remote}:{source}/", f"{target}/")
        data = stdin.encode(errors="surrogateescape")
        return self._connection.processes.start(
            argv, ssh_client.environment(), stdin=data, timeout=TRANSFER_TIMEOUT
        )


def _plan(attempt: Path) -> dict[str, Any]:
    """The plan of an attempt; empty if its folder was removed, so that nothing more can be fetched."""
    try:
        plan: dict[str, Any] = json.loads(files.read_bytes(attempt / "plan.json", follows_link=False))
    except OSError:
        return {}
    return plan


def rules(globs: Iterable[str]) -> Iterator[str]:
    """Filter rules that make rsync transfer only the files and whole folders that match these globs."""
    for glob in globs:
        for variant in dict.fromkeys((glob, glob.replace("**/", ""))):  # `**` also matches no folder
            parts = variant.split("/")
            yield from (f"--include=/{'/'.join(parts[:depth])}/" for depth in range(1, len(parts)))
            yield f"--include=/{variant}"
            yield f"--include=/{variant}/**"
    yield from ("--exclude=*", "--prune-empty-dirs")
