"""The revisions of an experiment's spec, as they are kept.

The present one lies at the top of the experiment's folder, all of them in `revisions/`. The ledger says
which one is present: who finds an older one at the top, as a crash may leave it, takes the one of the ledger.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.storage import paths
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import make_folder, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles

    Texts = Callable[[str], str | None]  # what a script holds, by the path that a spec names

COPIES: Final = ("spec.yaml", "source.json", "resolved.json")  # of which each revision has its own


def take(files: ExperimentFiles, folder: Path, *, present: int) -> None:
    """Give a staged revision its number, and the present one a place beside it; for the lock's holder.

    Raises:
        ExpError: another one was taken meanwhile.
    """
    number = json.loads((folder / COPIES[-1]).read_bytes())["revision"]
    if number != present + 1:
        raise ExpError(f"somebody else changed the spec of {files.id} meanwhile", hint="do it once more")
    before = files.revision(present).directory
    if not before.is_dir():
        aside = before.with_name(f".old-{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside)
        for name in COPIES:
            shutil.copyfile(files.directory / name, aside / name)
        aside.rename(before)
    after = files.revision(number).directory
    shutil.rmtree(after, ignore_errors=True)  # of somebody who died before the ledger knew of it
    folder.rename(after)
    sync_folder(files.revisions)
    crashpoints.point("revision.taken")


def install(files: ExperimentFiles, number: int) -> None:
    """Put a revision to the top; what names it there, `resolved.json`, comes last."""
    revision = files.revision(number)
    for source in sorted(revision.scripts.rglob("*")) if revision.scripts.is_dir() else ():
        if source.is_file():
            _replace(source, files.scripts / source.relative_to(revision.scripts))
    if revision.partial.is_file():
        _replace(revision.partial, files.partial)
    for name in COPIES:
        _replace(revision.directory / name, files.directory / name)
        crashpoints.point("revision.installed")


def _replace(source: Path, target: Path) -> None:
    """A copy in the place of what is there, which whoever reads it keeps."""
    make_folder(target.parent)
    aside = target.with_name(f".{target.name}.new")
    shutil.copy(source, aside)
    aside.replace(target)


def texts(files: ExperimentFiles) -> Texts:
    """What the experiment's copies of scripts hold."""

    def text(source: str) -> str | None:
        copy = paths.script_copy(source, files)
        return copy.read_text(encoding="utf-8", errors="replace") if copy.is_file() else None

    return text
