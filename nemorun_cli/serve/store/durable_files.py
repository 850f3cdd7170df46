"""Files of replicas that are on disk, with their folders, before an answer confirms it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve.store.unsynced_files import UnsyncedFiles
from nemorun_cli.system.files import (
    descriptor_to_change,
    descriptor_to_read,
    entered,
    identity,
    sync_entries,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.serve.store.replica_addresses import ReplicaFile

BLOCK: Final = 1 << 20  # bytes read at a time
_MOST_KNOWN: Final = 200_000


class DurableFiles:
    """Opens files of replicas, and knows which of them are on disk with their entries in all folders.

    Each process syncs a file once before it confirms what was there: another one may have written to it, and
    may have died before it had synced it.
    """

    def __init__(self) -> None:
        self._durable: set[tuple[int, int, int]] = set()  # devices, inodes and hashes of paths

    @contextlib.contextmanager
    def unsynced(self) -> Iterator[UnsyncedFiles]:
        """A number of files that are synced together."""
        if len(self._durable) > _MOST_KNOWN:
            self._durable = set()
        files = UnsyncedFiles(self._durable)
        try:
            yield files
        finally:
            files.close()

    @contextlib.contextmanager
    def opened(
        self, file: ReplicaFile, *, creates: bool, later: UnsyncedFiles | None = None
    ) -> Iterator[int]:
        """A descriptor to read and write a file; behind no symbolic link.

        Args:
            file: the file.
            creates: whether a missing one is created.
            later: what is synced later, with the folders of this file; the file itself is the caller's.

        Raises:
            FileNotFoundError: it does not exist, without `creates`.
            OSError: it cannot be opened, or is not a regular file.
        """
        with self.entered(file, creates=creates, later=later) as folder:
            descriptor = descriptor_to_change(file.full, creates=creates, folder=folder)
            try:
                if later is None:
                    self._confirm(file, descriptor, folder)
                elif key_of(file, descriptor) not in later or not os.fstat(descriptor).st_size:
                    later.note_folder(folder)
                yield descriptor
            finally:
                os.close(descriptor)

    def _confirm(self, file: ReplicaFile, descriptor: int, folder: int) -> None:
        """Sync a file and its entry, unless that was done; an empty one may be new, with a used inode."""
        key = key_of(file, descriptor)
        if key not in self._durable or not os.fstat(descriptor).st_size:
            os.fsync(descriptor)
            sync_entries(folder)
            self._durable.add(key)

    def note(self, file: ReplicaFile, descriptor: int) -> None:
        """A file is on disk, with its entry in its folder."""
        self._durable.add(key_of(file, descriptor))

    def confirm(self, file: ReplicaFile, status: os.stat_result | None = None) -> None:
        """Make sure that what a file has is on disk, unless this process has done so.

        Args:
            file: which exists.
            status: of the file, if it is known.

        Raises:
            OSError: it cannot be opened, or is not a regular file.
        """
        if status is None or (status.st_dev, status.st_ino, hash(file.full)) not in self._durable:
            with self.entered(file, creates=False) as folder:
                descriptor = descriptor_to_read(file.full, inside=file.replica.root)
                try:
                    self._confirm(file, descriptor, folder)
                finally:
                    os.close(descriptor)

    @contextlib.contextmanager
    def entered(
        self, file: ReplicaFile, *, creates: bool, later: UnsyncedFiles | None = None
    ) -> Iterator[int]:
        """A descriptor of the folder of a file, which is on disk, or is `later`."""
        if later is None and len(self._durable) > _MOST_KNOWN:
            self._durable = set()
        folder = os.path.dirname(file.full)  # noqa: PTH120 - a text
        with entered(
            folder,
            inside=file.replica.root,
            creates=creates,
            durable=self._durable if later is None else later,
            syncs=None if later is None else later.note_folder,
        ) as descriptor:
            yield descriptor


def key_of(file: ReplicaFile, descriptor: int) -> tuple[int, int, int]:
    """What distinguishes a file on disk from others, also from an earlier one with its inode."""
    return (*identity(descriptor), hash(file.full))


def append(descriptor: int, data: bytes | memoryview, *, size: int, syncs: bool = True) -> None:
    """Write bytes at the end of a file, completely or not at all.

    Args:
        descriptor: of the file.
        data: the bytes.
        size: of the file.
        syncs: whether the file is on disk afterwards.

    Raises:
        OSError: they could not be written; the file has its old size.
    """
    view, written = memoryview(data), 0
    try:
        while written < len(view):
            written += os.pwrite(descriptor, view[written:], size + written)
        if syncs:
            os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):  # what stays are the first of the right bytes
            os.ftruncate(descriptor, size)
        raise


def has_at(descriptor: int, data: bytes | memoryview, *, offset: int) -> bool:
    """Whether a file has these bytes at an offset."""
    view = memoryview(data)
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        if os.pread(descriptor, len(block), offset + start) != block:
            return False
    return True


def are_equal(one: int, other: int) -> bool:
    """Whether two open files have the same bytes."""
    if os.fstat(one).st_size != os.fstat(other).st_size:
        return False
    at = 0
    while block := os.pread(one, BLOCK, at):
        if os.pread(other, BLOCK, at) != block:
            return False
        at += len(block)
    return True
