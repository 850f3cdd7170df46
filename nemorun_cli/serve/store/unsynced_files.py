"""Files and folders of replicas that were changed and are synced together, before one answer confirms all.

Syncs at the same time share the work of the file system, and a folder with many new files is synced once.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from nemorun_cli.system.files import identity, sync_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

THREADS: Final = 8


class UnsyncedFiles:
    """What is on its way to the disk.

    Args:
        durable: devices, inodes and hashes of the paths of what is known to be on disk; what is synced here
            is added.
    """

    def __init__(self, durable: set[tuple[int, int, int]]) -> None:
        self._durable = durable
        self._added: set[tuple[int, int, int]] = set()
        self._folders: dict[tuple[int, int], int] = {}
        self._files: dict[tuple[int, int, int], int] = {}

    def __contains__(self, key: tuple[int, int, int]) -> bool:
        return key in self._durable or key in self._added

    def add(self, key: tuple[int, int, int]) -> None:
        """Something is on disk as soon as the noted folders are synced."""
        self._added.add(key)

    def note_folder(self, descriptor: int) -> None:
        """A folder has entries that are not on disk."""
        if (key := identity(descriptor)) not in self._folders:
            self._folders[key] = os.dup(descriptor)

    def note_file(self, key: tuple[int, int, int], descriptor: int) -> None:
        """A file has grown, or what it had is to be confirmed."""
        if key not in self._files:
            self._files[key] = os.dup(descriptor)

    def sync(self) -> dict[tuple[int, int, int], OSError]:
        """Sync all files, and then all folders; returns the files that could not be.

        Raises:
            OSError: a folder could not be synced.
        """
        errors = dict(zip(self._files, in_parallel(os.fsync, self._files.values()), strict=True))
        for error in in_parallel(sync_entries, self._folders.values()):
            if error is not None:
                raise error
        failed = {key: error for key, error in errors.items() if error is not None}
        self._durable |= self._added | (self._files.keys() - failed.keys())
        return failed

    def cut(self, key: tuple[int, int, int], *, before: int, after: int) -> None:
        """Give a file that could not be synced its old size, unless it has been continued.

        The caller holds its lock. What stays otherwise are the first of the right bytes.
        """
        with contextlib.suppress(OSError):
            if os.fstat(self._files[key]).st_size == after:
                os.ftruncate(self._files[key], before)

    def close(self) -> None:
        """Close all descriptors."""
        for descriptor in (*self._folders.values(), *self._files.values()):
            os.close(descriptor)


_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sync")  # its threads start when they are needed


def in_parallel(sync: Callable[[int], None], descriptors: Iterable[int]) -> list[OSError | None]:
    """Sync several descriptors at the same time; returns the error of each, or None."""

    def outcome(descriptor: int) -> OSError | None:
        try:
            sync(descriptor)
        except OSError as error:
            return error
        return None

    return list(_pool.map(outcome, descriptors))
