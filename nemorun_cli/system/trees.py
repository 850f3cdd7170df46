"""Folders of any depth, as a task or another user may have made them: walked and removed.

Neither the interpreter's recursion, nor the length of a path, nor the number of open files limits the depth,
as they do in `os.walk`, `Path.rglob` and `shutil.rmtree`. Symbolic links are never followed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.system.files import FOLDER_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPENED: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Visit:
    """A folder of a walk and what it contains; its descriptor is open until the next visit."""

    parts: list[str]
    """The top and the names below it; the walk changes the list."""
    descriptor: int
    entries: list[os.DirEntry[str]]

    def path(self, name: str = "") -> str:
        """The path of the folder, or of one of its entries; it can be longer than the kernel accepts."""
        return "/".join([*self.parts, name] if name else self.parts)


def walk(top: Path | str) -> Iterator[Visit]:
    """Visit a folder and all folders below it, parents first; those that cannot be read are left out.

    A folder that is moved meanwhile ends the walk.
    """
    parts = [os.fspath(top)]
    try:
        descriptor = os.open(top, _OPENED)
    except OSError:
        return
    above: list[tuple[int, int, list[str]]] = []  # device and inode of each parent, and its names to visit
    try:
        while True:
            entries = _entries(descriptor)
            yield Visit(parts, descriptor, entries)
            inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            status = os.fstat(descriptor)
            above.append((status.st_dev, status.st_ino, inner[::-1]))
            while (below := _next(descriptor, above[-1][2], parts)) is None:
                above.pop()
                if not above or (below := _parent(descriptor, above[-1])) is None:
                    return
                os.close(descriptor)
                descriptor = below
                parts.pop()
            os.close(descriptor)
            descriptor = below
    finally:
        os.close(descriptor)


def _entries(descriptor: int) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(descriptor) as entries:
            return list(entries)
    except OSError:
        return []


def _next(folder: int, names: list[str], parts: list[str]) -> int | None:
    """Open the next of the names that can be opened, and add it to the path; None after the last one."""
    while names:
        name = names.pop()
        with contextlib.suppress(OSError):
            descriptor = os.open(name, _OPENED, dir_fd=folder)
            parts.append(name)
            return descriptor
    return None


def _parent(folder: int, expected: tuple[int, int, list[str]]) -> int | None:
    """Open the folder above, if it is still the one from which the walk came."""
    try:
        descriptor = os.open("..", _OPENED, dir_fd=folder)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) == expected[:2]:
        return descriptor
    os.close(descriptor)
    return None


def size(top: Path | str) -> int:
    """The bytes of a file, or of all files in a folder, as far as it is readable."""
    try:
        status = os.lstat(top)
    except OSError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    return sum(_size_of(entry) for visit in walk(top) for entry in visit.entries)


def _size_of(entry: os.DirEntry[str]) -> int:
    with contextlib.suppress(OSError):
        if not entry.is_dir(follow_symlinks=False):
            return entry.stat(follow_symlinks=False).st_size
    return 0


def remove(top: Path | str) -> None:
    """Remove a folder of this user, also where the modes of the folders inside of it do not permit it.

    A folder inside of a folder is moved to the top before it is emptied, so that no path becomes long.

    Raises:
        OSError: something in it cannot be removed.
    """
    permit(top)
    descriptor = os.open(top, _OPENED)
    try:
        names = (f".{os.urandom(8).hex()}-{number}" for number in itertools.count())
        while entries := _listed(descriptor):
            for entry in entries:
                _remove_entry(descriptor, entry, names)
    finally:
        os.close(descriptor)
    os.rmdir(top)  # noqa: PTH106 - takes text, too


def _listed(descriptor: int) -> list[os.DirEntry[str]]:
    with os.scandir(descriptor) as entries:
        return list(entries)


def _remove_entry(top: int, entry: os.DirEntry[str], names: Iterator[str]) -> None:
    if not entry.is_dir(follow_symlinks=False):
        _unlink(entry.name, top)
        return
    descriptor = _opened(entry.name, top)
    try:
        for inner in _listed(descriptor):
            if inner.is_dir(follow_symlinks=False):
                permit(inner.name, folder=descriptor)  # a folder that may not be changed may not be moved
                os.rename(inner.name, next(names), src_dir_fd=descriptor, dst_dir_fd=top)
            else:
                _unlink(inner.name, descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(entry.name, dir_fd=top)


def _opened(name: str, folder: int) -> int:
    permit(name, folder=folder)
    return os.open(name, _OPENED, dir_fd=folder)


def permit(name: Path | str, *, folder: int | None = None) -> None:
    """Let this user change a folder, relative to another one, if its mode does not."""
    if os.lstat(name, dir_fd=folder).st_mode & FOLDER_MODE != FOLDER_MODE:
        os.chmod(name, FOLDER_MODE, dir_fd=folder)


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
