"""A copy of an experiment as a server has it, made from what would be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.replication import experiment_files
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.replication.experiment_files import SentParts


def replicate(directory: Path, root: Path, settings: SentParts, *, owner: str = "alice") -> Home:
    """Copy an experiment below the root of a server; returns the home of the copy."""
    home = Home(root / ".experiments" / owner / "host-12345678")
    target = home.experiments / directory.parent.name / directory.name
    for folder in (home.directory, home.experiments, target.parent, target):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in experiment_files.files_of(directory, settings):
        path = target / file.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.content is not None:
            path.write_bytes(file.content)
            continue
        with file.open() as stream:
            path.write_bytes(stream.read())
    return home
