"""Where the files of one experiment lie on the far side of a tunnel."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.submissions import FOLDER
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.files import make_folder, write

if TYPE_CHECKING:
    from nemorun_cli.executors import Job
    from nemorun_cli.executors.slurm.ssh import Tunnel
    from nemorun_cli.model.code_package import Package
    from nemorun_cli.model.plan import Plan

NOTE: Final = "there"  # in the experiment's folder of submissions: where its files lie on the far side


class RemotePaths:
    """The folders of an experiment, here and there.

    Attributes:
        files: here.
        folder: there; the same for good once something was submitted, whatever this host is called then.
    """

    def __init__(self, tunnel: Tunnel, files: ExperimentFiles) -> None:
        self.files, self._tunnel = files, tunnel
        self._note = files.directory / FOLDER / NOTE
        try:
            self.folder = Path(json.loads(self._note.read_bytes())["folder"])
        except FileNotFoundError:
            name = files.directory.parent.name
            self.folder = Path(tunnel.job_dir, owner(files.home), name, files.id)

    @property
    def home(self) -> Path:
        """The folder there of all experiments of this home."""
        return self.folder.parents[1]

    @property
    def records(self) -> Path:
        """Where all records of this home lie there."""
        return self.home / "dash"

    def code(self, package: Package) -> Path:
        """Where a content lies there that any experiment of this home may have shipped."""
        return self.home / "code" / Path(package.store).name

    def place(self, path: Path) -> Path:
        """Where a file of the experiment lies there."""
        return self.folder / self.relative(path)

    def relative(self, path: Path) -> Path:
        """Where it lies in the experiment's folder, here and there."""
        return path.relative_to(self.files.directory)

    def remember(self) -> None:
        """Write down where that is, before anything is brought there."""
        if not self._note.exists():
            make_folder(self._note.parent)
            write(self._note, json.dumps({"host": self._tunnel.host, "folder": str(self.folder)}))

    def plan(self, plan: Plan) -> Plan:
        """The plan as it runs there, also where the spec's own texts name the experiment's folder."""
        return replace(
            plan,
            argv=tuple(map(self._moved, plan.argv)),
            workdir=self._moved(plan.workdir),
            env={
                **{name: self._moved(value) for name, value in plan.env.items()},
                "NEMORUN_HOME": str(self.home),
                "EXP_DASH_ROOT": str(self.records),
            },
            script=plan.script and self._moved(plan.script),
            call=plan.call and self._moved(plan.call),
            details={**plan.details, "host": self._tunnel.host, "records": plan.env["EXP_DASH_ROOT"]},
        )

    def _moved(self, text: str) -> str:
        return self._here.sub(lambda _: str(self.folder), text)

    @cached_property
    def _here(self) -> re.Pattern[str]:
        return re.compile(re.escape(str(self.files.directory)) + r"(?![A-Za-z0-9._-])")


def owner(home: Path) -> str:
    """What a home of this machine is called there, where several may share an account."""
    key = f"{socket.gethostname()}\0{home}"
    return f"exp-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:12]}"


def files_of(job: Job) -> ExperimentFiles:
    """The experiment that an attempt is of."""
    above = len(Path(job.task).parts) + 1  # attempt-1, the parts of the task's id, and `tasks`
    return ExperimentFiles(job.files.directory.parents[above])
