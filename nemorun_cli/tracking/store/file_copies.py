"""Copies saved files out of a record; what has another content is replaced only if that is asked for."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.system.files import make_folder, open_to_read
from nemorun_cli.tracking.store.blob_store import ALGORITHM
from nemorun_cli.tracking.store.file_index import full_path
from nemorun_cli.tracking.store.record_paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.tracking.store.blob_store import Blobs
    from nemorun_cli.tracking.store.file_index import File

REMEDY: Final = "set the target with to="


def apart(files: Iterable[File]) -> tuple[list[File], list[File]]:
    """The files that can be copied to their paths in one folder, and those whose path is a folder of others.

    Records of earlier versions may have the second.
    """
    listed = list(files)
    folders = {above for file in listed for above in _folders_above(f"/{full_path(file)}")}
    is_hidden = [f"/{full_path(file)}" in folders for file in listed]
    return (
        [file for file, hidden in zip(listed, is_hidden, strict=True) if not hidden],
        [file for file, hidden in zip(listed, is_hidden, strict=True) if hidden],
    )


def copy_one(blobs: Blobs, file: File, target: str, *, replace: bool, remedy: str = REMEDY) -> str:
    """Copy a file to a path, and return the path.

    Raises:
        UsageError: something else is there, and is not to be replaced.
        LedgerDamagedError: the content has changed since it was saved.
    """
    check_path(file["filename"], what="file name")  # the index may come from another machine
    if not replace and _is_there(target, file, remedy):
        return target
    make_folder(os.path.dirname(target))
    blobs.copy_out(file["checksum"], target)
    return target


def copy_all(
    blobs: Blobs, files: Iterable[tuple[str, File]], folder: str, *, replace: bool, remedy: str = REMEDY
) -> list[str]:
    """Copy files to paths in a folder, and return these; all are checked before anything is copied.

    Args:
        blobs: the contents.
        files: the path of each copy in the folder, and the file.
        folder: the folder, which is created if it is missing.
        replace: whether other contents are replaced.
        remedy: the hint where something else is there.

    Raises:
        UsageError: two files would have the same path, one would be a folder, or something else is there.
        LedgerDamagedError: a content has changed since it was saved.
    """
    targets: dict[str, File] = {}
    for relative, file in files:
        target = f"{os.path.abspath(folder)}/{check_path(relative, what='file name')}"
        if target in targets:
            raise UsageError(
                f"{full_path(targets[target])} and {full_path(file)} would both be copied to {target}",
                hint="download their folder, in which they keep their paths",
            )
        targets[target] = file
    for target, file in targets.items():
        above = next((path for path in _folders_above(target) if path in targets), None)
        if above is not None:
            raise UsageError(
                f"{full_path(targets[above])} is a file, but {full_path(file)} needs a folder there",
                hint="download them one by one, with to=",
            )
        if not replace:
            _is_there(target, file, remedy)
    return [copy_one(blobs, file, target, replace=replace, remedy=remedy) for target, file in targets.items()]


def _folders_above(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first."""
    while (path := os.path.dirname(path)) not in {"/", "//"}:
        yield path


def _is_there(target: str, file: File, remedy: str) -> bool:
    """Whether a path has the content of a file already; False if nothing is there.

    Raises:
        UsageError: something else is there.
    """
    if not os.path.lexists(target):
        return False
    if os.path.isfile(target):
        with open_to_read(target) as stream:
            if hashlib.file_digest(stream, ALGORITHM).hexdigest() == file["checksum"]:
                return True
    raise UsageError(f"{target} exists with another content", hint=remedy)
