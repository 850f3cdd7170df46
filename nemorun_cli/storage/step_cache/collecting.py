"""What can be removed from the step cache: results that nothing used for long, and contents of none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.step_cache.content_digests import ContentDigests
from nemorun_cli.storage.step_cache.entries import StepCache, UnreadableEntryError
from nemorun_cli.system.files import descriptor_to_change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

BUSY: Final = "a result is being kept or taken"
UNFINISHED_FOR: Final = 3600.0  # seconds until what a process began to write counts as abandoned


@dataclass(frozen=True, slots=True)
class KeptThing:
    """A file of the step cache that can be removed, with what it frees in bytes."""

    path: Path
    size: int


class StepCacheCollector:
    """Looks through the step cache of a home; each entry is read once."""

    def __init__(self, home: Home) -> None:
        self._home, self._cache = home, StepCache(home, ContentDigests(None).of)
        self._known: dict[str, tuple[int, frozenset[str]]] = {}  # by entry: when it was written, its contents
        self._uses: Counter[str] = Counter()  # entries by content

    def _refresh(self) -> bool:
        """Read the entries that are new; return whether all can be read."""
        is_whole = True
        present = set(self._cache.ids())
        for name in present | self._known.keys():
            try:
                written = self._cache.path(name).stat().st_ino
            except OSError:
                written = None
            if name in self._known and self._known[name][0] != written:
                self._uses.subtract(self._known.pop(name)[1])
            if written is not None and name not in self._known:
                try:
                    entry = self._cache.read(name)
                except UnreadableEntryError:
                    is_whole = False
                    continue
                contents = frozenset(entry.contents) if entry is not None else frozenset()
                self._known[name] = (written, contents)
                self._uses.update(contents)
        return is_whole

    def unused(self, *, older: float) -> Iterator[KeptThing]:
        """The results that were neither kept nor taken for so many seconds."""
        self._refresh()
        uses = Counter(self._uses)
        limit = time.time() - older
        for name, (_, contents) in sorted(self._known.items()):
            path = self._cache.path(name)
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit:
                    uses.subtract(contents)
                    freed = sum(self._size(digest) for digest in contents if uses[digest] == 0)
                    yield KeptThing(path, path.stat().st_size + freed)

    def orphans(self) -> Iterator[KeptThing]:
        """The contents that no result names, and what a process left; none if a result is unreadable."""
        if not self._refresh():
            return
        now = time.time()
        unfinished = sorted(self._home.step_cache_entries.glob(".new-*"))
        for path in [*sorted(self._home.step_cache_contents.rglob("*")), *unfinished]:
            try:
                status = path.lstat()
            except FileNotFoundError:  # it is kept or removed now
                continue
            if path.is_dir() and not path.is_symlink():
                continue
            is_young = path.name.startswith(".new-") and now - status.st_mtime < UNFINISHED_FOR
            if not self._uses[path.name] and not is_young:
                yield KeptThing(path, status.st_size)

    def replaced(self, *, older: float) -> Iterator[KeptThing]:
        """The copies of files that were changed by hand, made more than so many seconds ago."""
        for path in sorted(self._home.step_cache_replaced.glob("*/*")):
            status = path.lstat()
            if status.st_ctime < time.time() - older:
                yield KeptThing(path, status.st_size)

    def _size(self, digest: str) -> int:
        try:
            return self._cache.contents.path(digest).lstat().st_size
        except OSError:
            return 0

    def remove(self, path: Path) -> str | None:
        """Remove a file of the step cache, and what only it needs; returns why it stays, if it does."""
        descriptor = descriptor_to_change(self._home.step_cache_lock)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._refresh()
            if path.parent == self._home.step_cache_entries and path.suffix == ".json":
                contents = self._known.get(path.stem, (0, frozenset()))[1]
                path.unlink(missing_ok=True)
                is_whole = self._refresh()
                for digest in contents:
                    if is_whole and not self._uses[digest]:
                        self._cache.contents.path(digest).unlink(missing_ok=True)
            elif path.is_relative_to(self._home.step_cache_contents) and self._uses[path.name]:
                return "a result names it"
            else:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # other files are in it
                    path.parent.rmdir()
        except BlockingIOError:
            return BUSY
        finally:
            os.close(descriptor)
        return None
