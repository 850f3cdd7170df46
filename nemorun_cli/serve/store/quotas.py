"""How many bytes of files each user has on the server, and how many they may have."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

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
_SOON: Final = 5.0  # seconds until that for a user who was refused
_SHARE: Final = 20  # counting the files of a user takes at most one part in so many of the time


class _Usage(NamedTuple):
    """The bytes of a user, and when their files are counted again, in monotonic seconds.

    Attributes:
        size: bytes.
        until: when they are counted again.
        soon: when, if the user was refused.
    """

    size: int
    until: float
    soon: float


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
        self._used: dict[str, _Usage] = {}

    def take(self, owner: str, size: int, *, is_new: bool) -> None:
        """Count bytes that are about to be written.

        Raises:
            StoreRefusal: the user would have more than the limit.
        """
        if self._limit is None:
            return
        cost = size + (FILE_COST if is_new else 0)
        usage = self._used.get(owner)
        if usage is None or time.monotonic() > usage.until:
            begin = time.monotonic()
            counted = self.used(owner)  # without the lock: others need not wait
            now = time.monotonic()
            rest = _SHARE * (now - begin)
            usage = _Usage(counted, now + max(_VALID, rest), now + max(_SOON, rest))
            with self._lock:
                self._used[owner] = usage
        with self._lock:
            usage = self._used[owner]
            used = usage.size
            if used + cost > self._limit:
                self._used[owner] = usage._replace(until=usage.soon)  # what is removed meanwhile counts soon
                raise StoreRefusal(
                    507,
                    "quota",
                    f"{owner} has {used:,} of {self._limit:,} bytes on this server; this would be too many",
                    hint="delete records, or ask the administrator to empty the trash or for a larger quota",
                )
            self._used[owner] = usage._replace(size=used + cost)

    def give(self, owner: str, size: int) -> None:
        """Count bytes no longer that were taken and removed again."""
        with self._lock:
            if (usage := self._used.get(owner)) is not None:
                self._used[owner] = usage._replace(size=max(0, usage.size - size))

    def used(self, owner: str) -> int:
        """The bytes of a user's files on the server, those in its trash included."""
        folders = (
            self._root / owner,
            self._root / EXPERIMENTS / owner,
            self._root / OWN / TRASH / owner,
            self._root / OWN / INCOMING / owner,
        )
        return sum(map(_size, folders))


@cache
def quotas_of(root: Path, limit: int | None) -> Quotas:
    """The quotas of a folder, which all parts of a server count together."""
    return Quotas(root, limit)


def _size(folder: Path) -> int:
    total = 0
    for visit in trees.walk(folder):
        for entry in visit.entries:
            if entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size + FILE_COST
    return total
