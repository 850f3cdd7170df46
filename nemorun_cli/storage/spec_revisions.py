"""The stored revisions of an experiment's spec.

The current revision is at the top of the experiment's folder; all revisions are in `revisions/`. The ledger
determines which one is current: after a crash the copies at the top may be older, and readers use the
ledger's revision instead.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.storage import paths
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import (
    RefusedFileError,
    copy_file,
    is_regular,
    make_folder,
    sync,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles

    Texts = Callable[[str], str | None]  # from a script's path in the spec to its text

COPIES: Final = ("spec.yaml", "source.json", "resolved.json")  # the files of each revision


def take(files: ExperimentFiles, folder: Path, *, present: int) -> None:
    """Move a staged revision to `revisions/`, and copy the current one there if it is missing.

    The caller holds the supervisor's lock. `present` is the number of the current revision.

    Raises:
        ExpError: another process has changed the spec meanwhile.
    """
    number = json.loads(files.read(folder / COPIES[-1]))["revision"]
    if number != present + 1:
        raise ExpError(f"another process changed the spec of {files.id} meanwhile", hint="try again")
    current = files.revision(present).directory
    if not current.is_dir():
        temporary = current.with_name(f".old-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        for name in COPIES:
            copy_file(files.directory / name, temporary / name, follows_link=False)
        temporary.rename(current)
    target = files.revision(number).directory
    shutil.rmtree(target, ignore_errors=True)  # left by a process that died before it wrote to the ledger
    folder.rename(target)
    sync(files.revisions)
    crashpoints.point("revision.taken")


def install(files: ExperimentFiles, number: int) -> None:
    """Copy a revision to the top of the folder; `resolved.json`, which holds its number, comes last."""
    revision = files.revision(number)
    for source in sorted(revision.scripts.rglob("*")) if revision.scripts.is_dir() else ():
        if is_regular(source, follows_link=False):
            _replace(source, files.scripts / source.relative_to(revision.scripts))
    for program, installed in ((revision.partial, files.partial), (revision.activate, files.activate)):
        if is_regular(program, follows_link=False):
            _replace(program, installed)
    for name in COPIES:
        _replace(revision.directory / name, files.directory / name)
        crashpoints.point("revision.installed")


def _replace(source: Path, target: Path) -> None:
    """Replace the target by a copy of the source; a process that has the old file open keeps its content."""
    make_folder(target.parent)
    copy_file(source, target, follows_link=False)


def texts(files: ExperimentFiles) -> Texts:
    """A function that returns the text of the experiment's copy of a script; None if it has no copy."""

    def text(source: str) -> str | None:
        try:
            data = files.read(paths.script_copy(source, files))
        except (FileNotFoundError, NotADirectoryError, RefusedFileError):
            return None
        return data.decode(errors="replace")

    return text
