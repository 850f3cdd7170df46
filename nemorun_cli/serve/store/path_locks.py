"""One lock for each file that a server writes, between its threads and other servers on the same folder.

The lock is on one of a fixed number of files, chosen by the path: a replica itself has no file more than the
original, and an opening's own lock, which shows that its program lives, is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve.store import root_folder
from nemorun_cli.system.files import descriptor_to_change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COUNT: Final = 256


class PathLocks:
    """The locks in a folder.

    Args:
        folder: of the lock files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def held(self, path: str, *, kind: str) -> Iterator[None]:
        """Hold the lock of a path; waits for the holder, which writes at most one block.

        Args:
            path: the file.
            kind: files of different kinds never wait for each other.
        """
        number = zlib.crc32(path.encode()) % _COUNT
        lock = self._folder / f"{kind}-{number:02x}"
        descriptor = root_folder.used(self._folder, lambda: descriptor_to_change(lock))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
