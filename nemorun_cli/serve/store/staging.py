"""What is not complete yet: contents that are being received, and whole files before they have their place.

They are in one folder of the server, so that a replica never has a file more than the original.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve.store import root_folder
from nemorun_cli.system import trees
from nemorun_cli.system.files import FILE_MODE, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.serve.store.replica_addresses import ReplicaFile

OLDEST: Final = 24 * 3600.0  # seconds after which what was not continued is removed
_EVERY: Final = 3600.0  # seconds between two looks for such files


class Staging:
    """The folder of incomplete files.

    Args:
        folder: on the file system of the replicas.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next_sweep = 0.0

    def content(self, file: ReplicaFile) -> str:
        """The path of the incomplete content of one replica; another one's has another path."""
        replica = hashlib.sha256(file.replica.folder.encode()).hexdigest()[:32]
        return f"{self._folder}/{file.replica.owner}/{replica}-{file.checksum}"

    def make_folder(self, file: ReplicaFile) -> None:
        """Create the folder of the user's incomplete contents."""
        make_folder(self._folder / file.replica.owner)

    @contextlib.contextmanager
    def new(self) -> Iterator[tuple[int, str]]:
        """A new file and its path, for a file that is renamed in the block; else it is removed afterwards."""
        path = f"{self._folder}/.whole-{os.urandom(12).hex()}"

        def create() -> int:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)

        descriptor = root_folder.used(self._folder, create)
        try:
            yield descriptor, path
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - a text

    @property
    def is_due(self) -> bool:
        """Whether nobody has looked for such files for an hour."""
        return time.monotonic() >= self._next_sweep

    def sweep(self) -> None:
        """Remove what nobody has continued for a day."""
        self._next_sweep = time.monotonic() + _EVERY
        oldest = time.time() - OLDEST
        for visit in trees.walk(self._folder):
            for entry in visit.entries:
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                        os.unlink(entry.name, dir_fd=visit.descriptor)
