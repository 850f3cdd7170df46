"""The folders below a root, listed again only if they have changed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.serve.index.cache_file import is_storable
from nemorun_cli.tracking.store.record_paths import MAX_PREFIX, RECORD

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SETTLED: Final = 1.0  # seconds after which a change of a folder certainly has another time


class _Listing(NamedTuple):
    changed: int
    is_settled: bool
    names: tuple[str, ...]


class FolderCache:
    """The names of folders in folders; each is listed again if its time differs."""

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}

    def prefixes(self, root: str, *, hidden: Collection[str] = ()) -> Iterator[str]:
        """The prefixes of all records below a root, in no order; folders that cannot be read are skipped.

        Args:
            root: the folder of records.
            hidden: names directly below it that contain no records.
        """
        seen = set()
        found = [""]
        while found:
            prefix = found.pop()
            folder = f"{root}/{prefix}" if prefix else root
            seen.add(folder)
            names = self.names(folder)
            if prefix and RECORD in names:
                yield prefix
            for name in names:
                path = f"{prefix}/{name}" if prefix else name
                if name != RECORD and len(path) <= MAX_PREFIX and (prefix or name not in hidden):
                    found.append(path)
        for folder in [path for path in self._listings if path not in seen and _is_below(path, root)]:
            del self._listings[folder]

    def names(self, folder: str) -> tuple[str, ...]:
        """The names, if they are Unicode, of the folders in a folder; links are not followed."""
        known = self._listings.get(folder)
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - as text, of ten thousand folders
            if known is not None and known.is_settled and known.changed == changed:
                return known.names
            with os.scandir(folder) as entries:
                names = tuple(
                    entry.name
                    for entry in entries
                    if is_storable(entry.name) and entry.is_dir(follow_symlinks=entry.name == RECORD)
                )
        except OSError:
            self._listings.pop(folder, None)
            return ()
        self._listings[folder] = _Listing(changed, is_settled(changed), names)
        return names


def is_settled(changed: int) -> bool:
    """Whether a time of a file, in nanoseconds, is so old that a later change has another one."""
    return time.time() - changed / 1e9 > SETTLED


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")
