"""Where an attempt has its files: what its result is kept from, and where an earlier result goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.step_cache.declared_files import Folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.storage.paths import AttemptFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedPlace:
    """Where an experiment tracks: the folder of its records, and its prefix there."""

    root: str
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSite:
    """The places of one attempt; plain values, so that another process can use them.

    Attributes:
        directory: of the experiment.
        workdir: the folder in which the task runs; None if it does not see the files of this machine.
        globs: what its `cache.outputs` name.
        records: the folder of the experiment's records, and `prefix` its own.
        server: the address to which these are sent, if any.
    """

    directory: str
    task: str
    attempt: int
    workdir: str | None
    globs: tuple[str, ...]
    records: str
    prefix: str
    server: str | None = None

    @property
    def experiment(self) -> ExperimentFiles:
        """The files of the experiment."""
        return ExperimentFiles(Path(self.directory))

    @property
    def files(self) -> AttemptFiles:
        """The files of the attempt."""
        return self.experiment.attempt(self.task, self.attempt)

    @property
    def folders(self) -> Folders | None:
        """Where the globs start; None if their files are not on this machine."""
        return None if self.workdir is None else Folders(Path(self.workdir), self.experiment.shared)

    @property
    def tracked(self) -> TrackedPlace:
        """Where the experiment tracks."""
        return TrackedPlace(root=self.records, prefix=self.prefix)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A site from the output of `to_json`."""
        values = {item.name: document[item.name] for item in fields(cls)}
        return cls(**{**values, "globs": tuple(values["globs"])})
