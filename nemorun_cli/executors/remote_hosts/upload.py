"""Uploads attempts to a remote host: files by rsync, then secrets and the command that starts them."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.remote_hosts import protocol, ssh_client
from nemorun_cli.executors.remote_hosts.connection import TRANSFER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.executors.background_commands import CommandResult, LocalCommand
    from nemorun_cli.executors.remote_hosts.connection import Connection, RemoteRequest
    from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths
    from nemorun_cli.model.code_package import Package


FILE_ERROR: Final = 11  # rsync's exit code after an error of a file
Push = tuple[list[str], bytes]  # the command line of an rsync, and its standard input


class Upload:
    """Uploads the files, then runs a command.

    Args:
        connection: to the remote host.
        pushes: upload the files, one after the other.
        text: the shell text that runs the command.
        name: of the command.
        on_uploaded: called when all files are uploaded.
    """

    def __init__(
        self,
        connection: Connection,
        pushes: Sequence[Push],
        text: str,
        *,
        name: str,
        on_uploaded: Callable[[], None],
    ) -> None:
        self._connection, self._text, self._on_uploaded = connection, text, on_uploaded
        self._name = name
        self._pushes = list(pushes)
        self._push = self._next()
        self._command: RemoteRequest | None = None

    def _next(self) -> LocalCommand:
        argv, stdin = self._pushes.pop(0)
        return self._connection.processes.start(
            argv, ssh_client.environment(), stdin=stdin, timeout=TRANSFER_TIMEOUT
        )

    @property
    def is_sent(self) -> bool:
        """Whether the command may have reached the host; without it, nothing was started."""
        return self._command is not None

    def answer(self) -> CommandResult | None:
        """The answer of the command, or why it was not run."""
        while self._command is None:
            pushed = self._push.answer()
            if pushed is None:
                return None
            if not pushed.is_good:
                return self._explained(pushed)
            if self._pushes:
                self._push = self._next()
            else:
                self._on_uploaded()
                self._command = self._connection.send(self._text, name=self._name)
        return self._command.answer()

    def wait(self, seconds: float) -> CommandResult | None:
        """Wait for the answer; None if it does not arrive in time."""
        end = time.monotonic() + seconds
        while self.answer() is None and (remaining := end - time.monotonic()) > 0:
            if self._command:
                self._command.wait(remaining)
            else:
                self._push.wait(remaining)
        return self.answer()

    def _explained(self, pushed: CommandResult) -> CommandResult:
        complaint, host = pushed.complaint, self._connection.tunnel.host
        if ssh_client.is_connection_failure(self._push.argv, pushed.code, complaint):
            explanation = self._connection.explain(complaint)
            return replace(pushed, complaint=explanation, connection_failed=True)
        if "not found" in complaint or complaint.startswith("there is no rsync"):
            where = "this machine" if complaint.startswith("there is no") else host
            complaint = f"rsync is not installed on {where}"
        if not complaint:  # its text is lost if the connection ends first
            meaning = " (reading or writing a file failed, for instance on a full disk)" * (
                pushed.code == FILE_ERROR
            )
            complaint = f"rsync ended with exit code {pushed.code}{meaning}"
        return replace(pushed, complaint=f"its files could not be uploaded to {host}: {complaint}")


def push_files(
    paths: RemotePaths, connection: Connection, folders: Iterable[Path], *, with_common: bool
) -> Push:
    """An rsync of folders of the experiment and, `with_common`, of the files that all its tasks need."""
    files = paths.files
    common = [
        path
        for path in (files.shim, files.partial, files.activate, files.scripts)
        if with_common and path.exists()
    ]
    names = [str(paths.relative(path)) for path in (*folders, *common)]
    flags = ("-rpt", "--from0", "--files-from=-")
    argv = _rsync(connection, *flags, local=files.directory, remote=paths.folder)
    return argv, "\0".join(names).encode(errors="surrogateescape")


def push_code(paths: RemotePaths, connection: Connection, package: Package) -> Push:
    """An rsync of a code package; files that the remote host already has are not sent again."""
    argv = _rsync(connection, "-rlpt", "--delete", local=Path(package.store), remote=paths.code(package))
    return argv, b""


def _rsync(connection: Connection, *flags: str, local: Path, remote: Path) -> list[str]:
    make = f"--rsync-path=umask 077 && mkdir -p {shlex.quote(str(remote))} && rsync"
    return connection.tunnel.rsync(*flags, make, "--", f"{local}/", f"{connection.tunnel.remote}:{remote}/")


def text(
    paths: RemotePaths, command: str, *, packages: Iterable[Package], private: Mapping[Path, str]
) -> str:
    """The shell text that makes common folders, copies the code, writes secrets, and runs a command.

    It does nothing in a folder of another user, who could read and change all of that.

    Args:
        paths: of the experiment.
        command: the shell text to run last.
        packages: the code to copy.
        private: texts with secrets, by the local path of the file that has each on the host.
    """
    texts = [
        own_folder(paths.home, key=paths.key),
        f"mkdir -p {paths.remote(paths.files.shared)} {paths.records}",
        paths.marking,
    ]
    texts += [_copy_code(paths, package) for package in packages]
    texts += [protocol.put(str(paths.remote(path)), secret) for path, secret in private.items()]
    return " && ".join([*texts, command])


def own_folder(folder: Path, *, key: str) -> str:
    """The shell text that fails if a folder belongs to another user, or if everybody may write to it.

    `key` precedes the name of the option in the spec.
    """
    place = shlex.quote(str(folder))
    owner = f'find {place}/. -prune -user "$(id -u)" ! -perm -0002'
    text = (
        f"{folder} belongs to another user, or everybody may write to it;"
        f" set {key}job_dir to a folder of yours"
    )
    return f'{{ [ -n "$({owner})" ] || {{ echo {shlex.quote(text)} >&2; false; }}; }}'


def _copy_code(paths: RemotePaths, package: Package) -> str:
    """The shell text that makes the experiment's own copy of a code package, which its tasks may modify."""
    original, copied = paths.code(package), paths.remote(Path(package.folder))
    partial = copied.with_name(f".part-{copied.name}")
    parent, store, copy, part = map(shlex.quote, map(str, (copied.parent, original, copied, partial)))
    return (
        f"{{ [ -d {copy} ] || {{ mkdir -p {parent} && rm -rf {part} &&"
        f" cp -Rp {store} {part} && mv {part} {copy}; }}; }}"
    )
