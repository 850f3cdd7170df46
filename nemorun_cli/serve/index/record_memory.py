"""What was worked out from the files of records, while these files are as they were."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.experiment.records.targets import TargetRecord

LARGEST: Final = 1 << 26  # bytes

Remembered = TypeVar("Remembered")


class RecordMemory(Generic[Remembered]):
    """The latest answers about single records, each valid while the record's files are as they were.

    Args:
        size: about how many bytes of memory an answer takes.
        largest: how many all of them may take; the ones used last are kept.
    """

    def __init__(self, size: Callable[[Remembered], int], largest: int = LARGEST) -> None:
        self._size_of, self._largest = size, largest
        self._known: dict[object, tuple[str, Remembered]] = {}  # the one that was used last is last
        self._size = 0
        self._lock = threading.Lock()

    def find(self, key: object, version: str) -> Remembered | None:
        """What is known for this state of the files."""
        with self._lock:
            found = self._known.pop(key, None)
            if found is None:
                return None
            if found[0] != version:
                self._size -= self._size_of(found[1])
                return None
            self._known[key] = found
            return found[1]

    def keep(self, key: object, version: str, answer: Remembered) -> None:
        """Remember an answer, and forget those that were not used for longest."""
        with self._lock:
            if former := self._known.pop(key, None):
                self._size -= self._size_of(former[1])
            self._known[key] = version, answer
            self._size += self._size_of(answer)
            while self._size > self._largest and len(self._known) > 1:
                oldest = self._known.pop(next(iter(self._known)))
                self._size -= self._size_of(oldest[1])


def version_of(chosen: TargetRecord) -> str:
    """A digest of the sizes and times of the files of metrics and params, and of the openings' ends."""
    digest = hashlib.sha256(repr([(each.id, each.state, each.ended) for each in chosen.openings]).encode())
    folder = chosen.record.place.record
    pending = [f"{folder}/metrics", f"{folder}/params"]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    seen = f"{entry.path}\0{status.st_ino} {status.st_size} {status.st_mtime_ns}\n"
                    digest.update(os.fsencode(seen))
        except OSError:
            continue
    return digest.hexdigest()
