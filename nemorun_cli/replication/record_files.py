"""The files of a record on this machine that are copied, and reading them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from nemorun_cli.replication import client, shapes
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.system.files import open_to_read
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER: Final = ("openings", "params", "metrics", "logs", "tracks", "environment", "labels", "files", "blobs")
FRESH: Final = 2.0  # seconds after a change of a folder in which its time may hide another one


class LocalFile(NamedTuple):
    """A file as it is now: its path in the record, kind, size in bytes and time of its last change."""

    path: str
    kind: FileKind
    size: int
    mtime_ns: int


class Source(Protocol):
    """A record, or an experiment, as what is copied: files below one address."""

    @property
    def address(self) -> str:
        """The path of its address on the server."""

    @property
    def label(self) -> str:
        """What it is, for people: a prefix, or the id of an experiment."""

    def files(self) -> list[LocalFile]:
        """All that is to be on the server, in the order in which it is sent; empty if it was removed."""

    def read(self, path: str, offset: int, most: int) -> bytes:
        """Bytes of a file; fewer than `most` at its end."""


class RecordSource:
    """A record as what is copied."""

    def __init__(self, root: str, prefix: str) -> None:
        self.place = Place(root, prefix)
        self.prefix = prefix
        self._blobs: dict[str, _Listing] = {}

    @property
    def address(self) -> str:
        """The path of its address on the server."""
        return client.record_address(self.prefix)

    @property
    def label(self) -> str:
        """Its prefix."""
        return self.prefix

    def files(self) -> list[LocalFile]:
        """All that is copied of it, in the order in which it is sent."""
        found = []
        for folder in ORDER[:-1]:
            for path, status in self._below(folder, depth=2 if folder in {"metrics", "tracks"} else 1):
                kind = shapes.of_record(path)
                if kind is not None and not (folder == "labels" and not status.st_size):
                    found.append(LocalFile(path, kind, status.st_size, status.st_mtime_ns))
        return found + self._contents()

    def read(self, path: str, offset: int, most: int) -> bytes:
        """Bytes of a file; no part of its path in the record is a link."""
        with open_to_read(f"{self.place.record}/{path}", inside=self.place.record) as stream:
            stream.seek(offset)
            return stream.read(most)

    def _below(self, folder: str, *, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(f"{self.place.record}/{folder}") as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in listed:
            path = f"{folder}/{entry.name}"
            if depth > 1:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(path, depth=depth - 1)
            elif entry.is_file(follow_symlinks=False):
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue

    def _contents(self) -> list[LocalFile]:
        """The contents; a folder of them is read again only if it has changed, as there may be many."""
        found: list[LocalFile] = []
        try:
            with os.scandir(self.place.blobs) as entries:
                folders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return found
        for name in folders:
            try:
                changed = os.stat(f"{self.place.blobs}/{name}").st_mtime
            except FileNotFoundError:
                continue
            known = self._blobs.get(name)
            if known is None or known.changed != changed or known.read - changed < FRESH:
                listed = [
                    LocalFile(path, FileKind.CONTENT, status.st_size, status.st_mtime_ns)
                    for path, status in self._below(f"blobs/{name}", depth=1)
                    if shapes.of_record(path) is FileKind.CONTENT
                ]
                known = self._blobs[name] = _Listing(changed, time.time(), listed)
            found += known.files
        return found


class _Listing(NamedTuple):
    """The contents in a folder whose last change was at `changed`, as they were when it was read."""

    changed: float
    read: float
    files: list[LocalFile]
