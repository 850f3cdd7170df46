"""A submission on its way to the far side: its files by rsync, its secrets and the call of sbatch by ssh."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nemorun_cli.executors.slurm import ssh
from nemorun_cli.executors.slurm.job_script import SECRETS, secrets_text
from nemorun_cli.executors.slurm.remote import protocol
from nemorun_cli.executors.slurm.remote.connection import TRAVEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.executors.slurm.commands import CommandResult, LocalCommand
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.remote.connection import Connection, RemoteRequest
    from nemorun_cli.executors.slurm.remote.remote_paths import RemotePaths
    from nemorun_cli.model.code_package import Package


Push = tuple[list[str], bytes]  # an rsync, and what it reads


class Upload:
    """Files first, then sbatch.

    Args:
        trips: to the far side.
        pushes: what brings the files, one after the other.
        text: what asks sbatch.
        done: called when all files are there.
    """

    def __init__(
        self, trips: Connection, pushes: Sequence[Push], text: str, *, done: Callable[[], None]
    ) -> None:
        self._trips, self._text, self._done = trips, text, done
        self._pushes = list(pushes)
        self._push = self._next()
        self._errand: RemoteRequest | None = None

    def _next(self) -> LocalCommand:
        argv, told = self._pushes.pop(0)
        return self._trips.processes.start(argv, ssh.environment(), told=told, patience=TRAVEL)

    def answer(self) -> CommandResult | None:
        """What sbatch said, or why it was not asked."""
        while self._errand is None:
            pushed = self._push.answer()
            if pushed is None:
                return None
            if not pushed.is_good:
                return self._explained(pushed)
            if self._pushes:
                self._push = self._next()
            else:
                self._done()
                self._errand = self._trips.send(self._text, name="sbatch")
        return self._errand.answer()

    def wait(self, seconds: float) -> CommandResult | None:
        """The answer, waited for."""
        end = time.monotonic() + seconds
        while self.answer() is None and (left := end - time.monotonic()) > 0:
            if self._errand:
                self._errand.wait(left)
            else:
                self._push.wait(left)
        return self.answer()

    def _explained(self, pushed: CommandResult) -> CommandResult:
        complaint, host = pushed.complaint, self._trips.tunnel.host
        if ssh.is_lost(self._push.argv, pushed.code, complaint):
            return replace(pushed, complaint=self._trips.explain(complaint), is_lost=True)
        if "not found" in complaint or complaint.startswith("there is no rsync"):
            where = "this machine" if complaint.startswith("there is no") else host
            complaint = f"there is no rsync on {where}: install it"
        return replace(pushed, complaint=f"its files could not be brought to {host}: {complaint}")


def push_files(layout: RemotePaths, trips: Connection, folders: Iterable[Path], *, with_common: bool) -> Push:
    """What brings folders of the experiment there, and what all its tasks need."""
    files = layout.files
    common = [path for path in (files.shim, files.partial, files.scripts) if with_common and path.exists()]
    names = [str(layout.relative(path)) for path in (*folders, *common)]
    argv = _rsync(trips, "-rpt", "--from0", "--files-from=-", here=files.directory, there=layout.folder)
    return argv, "\0".join(names).encode(errors="surrogateescape")


def push_code(layout: RemotePaths, trips: Connection, package: Package) -> Push:
    """What brings a content there, once: what lies there already is not sent again."""
    return _rsync(trips, "-rlpt", "--delete", here=Path(package.store), there=layout.code(package)), b""


def _rsync(trips: Connection, *flags: str, here: Path, there: Path) -> list[str]:
    make = f"--rsync-path=umask 077 && mkdir -p {there} && rsync"
    return trips.tunnel.rsync(*flags, make, "--", f"{here}/", f"{trips.tunnel.remote}:{there}/")


def text(
    layout: RemotePaths,
    ask: str,
    *,
    packages: Iterable[Package],
    secrets: Mapping[Path, Secrets],
) -> str:
    """The shell text that asks sbatch when all that does not travel by rsync is there."""
    texts = [_copy_code(layout, package) for package in packages]
    texts += [
        protocol.put(str(layout.place(folder / SECRETS)), secrets_text(values))
        for folder, values in secrets.items()
    ]
    return " && ".join([*texts, ask])


def _copy_code(layout: RemotePaths, package: Package) -> str:
    """What makes the experiment's own copy of a content, in which its tasks may write."""
    store, copy = layout.code(package), layout.place(Path(package.folder))
    part = copy.with_name(f".part-{copy.name}")
    return (
        f"{{ [ -d {copy} ] || {{ mkdir -p {copy.parent} && rm -rf {part} &&"
        f" cp -Rp {store} {part} && mv {part} {copy}; }}; }}"
    )
