"""The paths of one experiment's files on a remote host."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.remote_hosts import remote_folders
from nemorun_cli.model import forms, remote_host
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.files import make_folder, write_whole

if TYPE_CHECKING:
    from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
    from nemorun_cli.model.code_package import Package
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.storage.paths import ExperimentFiles

DEPTH: Final = 3  # folders in its path: the experiment's, that of its name, and the home's


class RemotePaths:
    """The local and remote folders of an experiment.

    Args:
        tunnel: how the host is reached.
        files: the local files.
        note: the local file that keeps the remote folder.

    Attributes:
        files: the local files.
        folder: the remote folder; fixed by the first submission, even if the name of this host changes.
    """

    def __init__(self, tunnel: Tunnel, files: ExperimentFiles, *, note: Path) -> None:
        self.files, self._tunnel, self._note = files, tunnel, note
        try:
            self.folder = _noted_folder(note, files)
        except FileNotFoundError:
            name = files.directory.parent.name
            self.folder = Path(tunnel.job_dir, owner(files.home), name, files.id)

    @property
    def key(self) -> str:
        """What precedes the names of the host's options in the spec, for messages."""
        return self._tunnel.key

    @property
    def home(self) -> Path:
        """The remote folder of all experiments of this home."""
        return self.folder.parents[1]

    @property
    def records(self) -> Path:
        """The remote folder of all records of this home."""
        return self.home / "dash"

    @property
    def environments(self) -> Path:
        """The remote folder of the Python environments that are made for tasks of this home."""
        return self.home / "environments"

    def code(self, package: Package) -> Path:
        """The remote folder of a code package, shared by all experiments of this home."""
        return self.home / "code" / Path(package.store).name

    def remote(self, path: Path) -> Path:
        """The remote path of an experiment's file."""
        return self.folder / self.relative(path)

    def relative(self, path: Path) -> Path:
        """Its path in the experiment's folder, the same locally and remotely."""
        return path.relative_to(self.files.directory)

    def save(self) -> None:
        """Store the remote folder, before anything is uploaded."""
        with contextlib.suppress(OSError):  # a full disk: `exp gc --remote` then does not know it
            remote_folders.note(Home(self.files.home), self._tunnel, self.home)
        if not self._note.exists():
            make_folder(self._note.parent)
            note = json.dumps({"host": self._tunnel.host, "folder": str(self.folder)})
            write_whole(self._note, note.encode())

    @cached_property
    def marking(self) -> str:
        """The shell text that notes on the host which home made the experiment."""
        return remote_folders.marking(self.home, self.files.id, remote_folders.mark_of(Home(self.files.home)))

    def plan(self, plan: Plan) -> Plan:
        """The plan with remote paths, also where the spec's own texts contain the experiment's folder."""
        return replace(
            plan,
            argv=tuple(map(self._replaced, plan.argv)),
            workdir=self._replaced(plan.workdir),
            env={
                **{name: self._replaced(value) for name, value in plan.env.items()},
                "NEMORUN_HOME": str(self.home),
                "EXP_DASH_ROOT": str(self.records),
            },
            script=plan.script and self._replaced(plan.script),
            call=plan.call and self._replaced(plan.call),
            details={**plan.details, "host": self._tunnel.host, "records": plan.env["EXP_DASH_ROOT"]},
        )

    def _replaced(self, text: str) -> str:
        text = self._local_folder.sub(lambda _: str(self.folder), text)
        made = str(Home(self.files.home).environments)
        return str(self.environments) + text.removeprefix(made) if text.startswith(f"{made}/") else text

    @cached_property
    def _local_folder(self) -> re.Pattern[str]:
        return re.compile(re.escape(str(self.files.directory)) + r"(?![A-Za-z0-9._-])")


def _noted_folder(note: Path, files: ExperimentFiles) -> Path:
    """The remote folder in a note, which becomes part of commands on the host.

    Raises:
        EngineError: it is not the path of a folder that needs no quotes.
    """
    try:
        folder = json.loads(files.read(note))["folder"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise EngineError(f"{note} cannot be read: {error}", hint="restore it from a backup") from error
    if not isinstance(folder, str) or not re.match(remote_host.FOLDER, folder) or folder.count("/") < DEPTH:
        raise EngineError(f"{note}: folder is {forms.shown(folder)}, not the path of a remote folder")
    return Path(folder)


def owner(home: Path) -> str:
    """The remote name of a local home; several homes may share a remote account."""
    key = f"{socket.gethostname()}\0{home}"
    return f"exp-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:12]}"
