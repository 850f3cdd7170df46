"""Earlier experiments: found by id or title, and read back as jobs that can be changed and run again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import NotFoundError
from nemorun_cli.model import titles
from nemorun_cli.storage import paths
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.nemo.jobs import AddedGroup, AddedJob
    from nemorun_cli.spec.document import Document
    from nemorun_cli.spec.python_specs import BuiltSpec


def with_id(experiment_id: str) -> Run:
    """The experiment with this id, or the latest one with this key.

    Raises:
        NotFoundError: no such experiment exists.
    """
    from nemorun_cli.experiment.run import Run  # noqa: PLC0415 - imports much, and a program may only build
    from nemorun_cli.views import listing  # noqa: PLC0415 - the same

    home = Home.from_environment()
    if files := home.experiment(experiment_id):
        return Run(files, home)
    for summary in listing.newest_first(home):
        if summary.key == experiment_id and (files := home.experiment(summary.id)):
            return Run(files, home)
    raise NotFoundError(f"there is no experiment {experiment_id!r}", hint="list them with: exp list")


def with_title(title: str) -> Run:
    """The latest experiment with this title or name.

    Raises:
        NotFoundError: no such experiment exists.
    """
    from nemorun_cli.experiment.run import Run  # noqa: PLC0415 - imports much, and a program may only build

    home = Home.from_environment()
    for experiment_id in reversed(ids(title)):
        if files := home.experiment(experiment_id):
            return Run(files, home)
    raise NotFoundError(f"there is no experiment of the title {title!r}", hint="list them with: exp list")


def ids(title: str = "") -> list[str]:
    """The ids of all experiments, or of those with this title or name; the oldest first."""
    home = Home.from_environment()
    names = home.names() if not title else [title if titles.NAME.match(title) else titles.name_of(title)]
    found = [experiment_id for _, experiment_id in home.readable_ids(names)]
    return sorted((files.id for files in home.readable(found)), key=paths.age_key)


@dataclass(slots=True)
class EarlierExperiment:
    """An experiment that ran, or runs, and the content of its spec once it was read.

    Attributes:
        keys: the spec without its tasks.
        jobs: None until it is read.
    """

    run: Run
    keys: dict[str, Any] = field(default_factory=dict)
    jobs: list[AddedJob | AddedGroup] | None = None
    _read: Document | None = None

    def read(self) -> Path:
        """Read the experiment's own copy of the spec; returns the path of the program or file it came from.

        Raises:
            LedgerError: the copies cannot be read, or another user may change them.
            SpecError: the spec is not one of this version.
        """
        from nemorun_cli import executors  # noqa: PLC0415 - only to run it again
        from nemorun_cli.nemo import stored_tasks  # noqa: PLC0415 - the same
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        document = load.again(self.run.files, executors=executors.known(ask=False))
        self.keys = {key: value for key, value in document.data.items() if key != "tasks"}
        if "title" not in self.keys:
            self.keys["name"] = document.name
        folder = document.path.parent
        self.jobs = [
            stored_tasks.job(name, entry, folder=folder, executors=self.keys.get("executors") or {})
            for name, entry in document.data["tasks"].items()
        ]
        self._read = document
        return document.path

    def document(self, built: BuiltSpec, sets: Sequence[str]) -> Document:
        """The spec of the new experiment, which uses the copies of scripts and the code of this one.

        Raises:
            SpecError: with all of its problems.
        """
        from nemorun_cli import executors  # noqa: PLC0415 - only to run it again
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        spec = built.spec  # reads the copy
        document = load.read(
            spec,
            path=built.path,
            made_at=built.lines,
            params=self._read.params if self._read else (),
            only=self._read.only if self._read else (),
            sets=sets,
            executors=executors.known(ask=True),
            copies=self.run.files,
        )
        return replace(load.with_built(document, built), shipped=self.run.files)
