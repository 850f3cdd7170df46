"""The checksums of contents that are being received, computed while their bytes arrive."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.serve.store.durable_files import BLOCK

if TYPE_CHECKING:
    from hashlib import _Hash

_MOST: Final = 256  # contents whose checksums are kept; those of others are computed from their files


class _Running(NamedTuple):
    """The checksum of the first bytes of a file, and what the file was then."""

    digest: _Hash
    state: tuple[int, int, int]


class RunningDigests:
    """The checksums of incomplete files; each call has the lock of its file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of the table
        self._running: dict[str, _Running] = {}

    def begin(self, path: str, descriptor: int) -> None:
        """Start with an empty file."""
        self._keep(path, _Running(hashlib.sha256(), state(descriptor)))

    def extend(
        self, path: str, descriptor: int, data: bytes | memoryview, *, before: tuple[int, int, int]
    ) -> None:
        """Add bytes that were written to the end of a file, which had the state `before`."""
        running = self._taken(path)
        if running is not None and running.state == before:
            running.digest.update(data)
            self._keep(path, _Running(running.digest, state(descriptor)))

    def of_complete(self, path: str, descriptor: int) -> tuple[str, bool]:
        """The checksum of a file, and whether it was computed from the received bytes alone."""
        running = self._taken(path)
        if running is not None and running.state == state(descriptor):
            return running.digest.hexdigest(), True
        digest, at = hashlib.sha256(), 0
        while block := os.pread(descriptor, BLOCK, at):
            digest.update(block)
            at += len(block)
        return digest.hexdigest(), False

    def _keep(self, path: str, running: _Running) -> None:
        with self._lock:
            while len(self._running) >= _MOST:
                del self._running[next(iter(self._running))]
            self._running[path] = running

    def _taken(self, path: str) -> _Running | None:
        with self._lock:
            return self._running.pop(path, None)


def state(descriptor: int) -> tuple[int, int, int]:
    """The inode, size and time of a file, which another writer would change."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns
