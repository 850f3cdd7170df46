"""The files of a folder that is saved whole: which are saved, and which are left out and why."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from nemorun_cli.system.files import descriptor_to_read
from nemorun_cli.tracking.store.record_paths import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator


class SourceFile(NamedTuple):
    """A file: its path relative to the folder, and the path of its content, which has no link."""

    relative: str
    path: str


class LeftOut(NamedTuple):
    """What is not saved, and the reason."""

    relative: str
    reason: str


class FolderContent(NamedTuple):
    """The files of a folder by path, and what is left out; `root` is its path without links."""

    root: str
    files: list[SourceFile]
    left_out: list[LeftOut]


def content_of(folder: str, *, records: str) -> FolderContent:
    """What is in a folder now; links in it are followed only to files in it.

    Args:
        folder: the folder.
        records: the folder of all records, which is left out if it is inside.

    Raises:
        OSError: a folder or a file cannot be read.
    """
    root = os.path.realpath(folder)
    files: list[SourceFile] = []
    left_out: list[LeftOut] = []
    for relative, entry in _entries(root, os.path.realpath(records)):
        sort = _sort(entry, root)
        if sort.reason is None:
            files.append(SourceFile(relative, sort.path))
        else:
            left_out.append(LeftOut(relative, sort.reason))
    return FolderContent(root, sorted(files), sorted(left_out))


def _entries(root: str, records: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All that is in a folder but folders, with relative paths; a folder of records counts as one entry."""
    pending = [""]
    while pending:
        above = pending.pop()
        with os.scandir(os.path.join(root, above)) as entries:
            for entry in entries:
                relative = f"{above}/{entry.name}" if above else entry.name
                is_record = entry.name == RECORD or entry.path == records
                if entry.is_dir(follow_symlinks=False) and not is_record:
                    pending.append(relative)
                else:
                    yield relative, entry


class _Sort(NamedTuple):
    path: str
    reason: str | None = None


def _sort(entry: os.DirEntry[str], root: str) -> _Sort:
    """The path of the content of an entry, or why it is left out."""
    path = entry.path
    if entry.is_symlink():
        path = os.path.realpath(entry.path)
        if path == root:
            return _Sort(path, "a link to a folder")
        if not path.startswith(f"{root.rstrip('/')}/"):
            return _Sort(path, "a link out of the folder")
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode):  # one that cannot be read is an error before anything is stored
            os.close(descriptor_to_read(path, follows_link=False))
    except FileNotFoundError:
        return _Sort(path, "a link to nothing" if entry.is_symlink() else "it was removed meanwhile")
    if stat.S_ISDIR(mode):
        return _Sort(path, "a link to a folder" if entry.is_symlink() else "a folder of records")
    return _Sort(path, None if stat.S_ISREG(mode) else "not a regular file")
