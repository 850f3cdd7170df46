"""How many bytes of files each user has on the server, and how many they may have."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve.store.replica_addresses import EXPERIMENTS
from nemorun_cli.serve.store.root_folder import INCOMING, OWN, TRASH
from nemorun_cli.serve.store.store_refusal import StoreRefusal
from nemorun_cli.system import trees

if TYPE_CHECKING:
    from pathlib import Path

FILE_COST: Final = (
    4096  # bytes that a file counts in addition to its content: one without any has a cost, too
)
_VALID: Final = 300.0  # seconds until the files are counted again, which other processes and people change


class Quotas:
    """The bytes of each user; counted when a user first writes, and then kept.

    Args:
        root: the folder of all replicas.
        limit: bytes of one user; None for no limit, and then nothing is counted.
    """

    def __init__(self, root: Path, limit: int | None) -> None:
        self._root = root
        self._limit = limit
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, int]] = {}  # owner: when it was counted, and bytes

    def take(self, owner: str, size: int, *, is_new: bool) -> None:
        """Count bytes that are about to be written.

        Raises:
            StoreRefusal: the user would have more than the limit.
        """
        if self._limit is None:
            return
        cost = size + (FILE_COST if is_new else 0)
        with self._lock:
            counted, used = self._used.get(owner, (0.0, -1))
            if used < 0 or time.monotonic() - counted > _VALID:
                counted, used = time.monotonic(), self.used(owner)
            if used + cost > self._limit:
                self._used[owner] = (0.0, -1)  # what is removed meanwhile counts at the next try
                raise StoreRefusal(
                    507,
                    "quota",
                    f"{owner} has {used:,} of {self._limit:,} bytes on this server; this would be too many",
                    hint="delete records, or ask the administrator to empty the trash or for a larger quota",
                )
            self._used[owner] = (counted, used + cost)

    def used(self, owner: str) -> int:
        """The bytes of a user's files on the server, those in its trash included."""
        folders = (
            self._root / owner,
            self._root / EXPERIMENTS / owner,
            self._root / OWN / TRASH / owner,
            self._root / OWN / INCOMING / owner,
        )
        return sum(map(_size, folders))


def _size(folder: Path) -> int:
    total = 0
    for visit in trees.walk(folder):
        for entry in visit.entries:
            if entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size + FILE_COST
    return total
