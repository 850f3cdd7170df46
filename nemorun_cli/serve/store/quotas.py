"""How many bytes of files each user has on the server, and how many they may have."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from functools import cache
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
FIRST_PATIENCE: Final = 5.0  # seconds to wait for the first count of a user
_VALID: Final = 300.0  # seconds until the files are counted again, which other processes and people change
_SOON: Final = 5.0  # seconds until that for a user who was refused
_SHARE: Final = 20  # counting the files of a user takes at most one part in so many of the time


@dataclass(slots=True)
class _Usage:
    """The bytes of a user.

    Attributes:
        size: bytes; None before the first count.
        until: when they are counted again, in monotonic seconds.
        soon: when, if the user was refused.
        is_counting: whether a thread counts them at this time.
        meanwhile: bytes that were taken since it began, which it may have missed.
        counted: is set after the first count.
    """

    size: int | None = None
    until: float = 0.0
    soon: float = 0.0
    is_counting: bool = False
    meanwhile: int = 0
    counted: threading.Event = field(default_factory=threading.Event)


class Quotas:
    """The bytes of each user; counted when a user first writes, and then kept.

    Files are counted in a thread, one for a user: only the first count keeps requests waiting. What is taken
    while it counts is added to its result, which is too high by that where it has seen the new files, too.

    Args:
        root: the folder of all replicas.
        limit: bytes of one user; None for no limit, and then nothing is counted.
    """

    def __init__(self, root: Path, limit: int | None) -> None:
        self._root = root
        self._limit = limit
        self._lock = threading.Lock()
        self._used: dict[str, _Usage] = {}

    def prepare(self, owner: str, *, patience: float = FIRST_PATIENCE) -> None:
        """Make sure that the files of a user were counted; to be called before a file is locked.

        Raises:
            StoreRefusal: counting them takes long; the request can be made again later.
        """
        if self._limit is None:
            return
        with self._lock:
            usage = self._used.setdefault(owner, _Usage())
            if not usage.is_counting and time.monotonic() > usage.until:
                usage.is_counting, usage.meanwhile = True, 0
                name = f"count-{owner}"
                threading.Thread(target=self._count, args=(owner, usage), name=name, daemon=True).start()
        if not usage.counted.wait(patience):
            raise StoreRefusal(
                503,
                "counting",
                f"the files of {owner} on this server are being counted, which takes long",
                hint="try again in a few seconds",
                retry_after=5,
            )

    def _count(self, owner: str, usage: _Usage) -> None:
        begin = time.monotonic()
        size = None
        try:
            size = self.used(owner)
        finally:
            now = time.monotonic()
            rest = _SHARE * (now - begin)
            with self._lock:
                usage.is_counting = False
                if size is not None:
                    usage.size = size + usage.meanwhile
                    usage.until, usage.soon = now + max(_VALID, rest), now + max(_SOON, rest)
                    usage.counted.set()

    def take(self, owner: str, size: int, *, is_new: bool) -> None:
        """Count bytes that are about to be written.

        Raises:
            StoreRefusal: the user would have more than the limit, or was never counted.
        """
        if self._limit is None:
            return
        self.prepare(owner)
        cost = size + (FILE_COST if is_new else 0)
        with self._lock:
            usage = self._used[owner]
            used = usage.size or 0
            if used + cost > self._limit:
                usage.until = min(usage.until, usage.soon)  # what is removed meanwhile counts soon
                raise StoreRefusal(
                    507,
                    "quota",
                    f"{owner} has {used:,} of {self._limit:,} bytes on this server; this would be too many",
                    hint="delete records, or ask the administrator to empty the trash or for a larger quota",
                )
            usage.size = used + cost
            usage.meanwhile += cost

    def give(self, owner: str, size: int) -> None:
        """Count bytes no longer that were taken and removed again."""
        with self._lock:
            usage = self._used.get(owner)
            if usage is not None and usage.size is not None:
                usage.size = max(0, usage.size - size)
                usage.meanwhile = max(0, usage.meanwhile - size)

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
            with contextlib.suppress(OSError):  # renamed or removed meanwhile
                if entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size + FILE_COST
    return total
