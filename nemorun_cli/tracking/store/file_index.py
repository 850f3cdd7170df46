"""The index of saved files: which contents were saved and deleted under which path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import encode_row
from nemorun_cli.tracking.store.record_paths import check_path

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Writer

File = dict[str, Any]  # with ML-Dash's keys: id, path, filename, sizeBytes, checksum, contentType, …


class FileIndex:
    """The changes of all writers, in order; versions of a file are numbered in that order."""

    def __init__(self, place: Place, writer: Writer) -> None:
        self._folder = place.files
        self._writer = writer
        self._counts: dict[str, int] = {}  # the number of versions of each path, read once per opening
        self._counted_in: str | None = None

    def add(self, file: File, *, timestamp: float) -> File:
        """Record a saved file, and return it with its version."""
        path = full_path(file)
        if self._counted_in != self._writer.name:
            self._counts = {full_path(version): version["version"] for version in self.versions()}
            self._counted_in = self._writer.name
        self._writer.append(self._folder, encode_row(timestamp, {"saved": file}))
        self._counts[path] = self._counts.get(path, 0) + 1
        return {**file, "version": self._counts[path]}

    def remove(self, paths: list[str], *, timestamp: float) -> None:
        """Record that paths were deleted."""
        self._writer.append(self._folder, encode_row(timestamp, {"deleted": paths}))

    def versions(self, openings: Collection[str] | None = None) -> list[File]:
        """All versions of all files, oldest first, including deleted ones."""
        changes, _ = row_files.series(self._folder, openings=openings, kind="files")
        counts: dict[str, int] = {}
        versions = []
        for change in changes:
            if "saved" in change:
                path = full_path(change["saved"])
                counts[path] = counts.get(path, 0) + 1
                versions.append({**change["saved"], "version": counts[path]})
        return versions

    def present(self, openings: Collection[str] | None = None) -> dict[str, File]:
        """The latest version of each path that is not deleted, by path."""
        changes, _ = row_files.series(self._folder, openings=openings, kind="files")
        counts: dict[str, int] = {}
        files: dict[str, File] = {}
        for change in changes:
            if "saved" in change:
                path = full_path(change["saved"])
                counts[path] = counts.get(path, 0) + 1
                files[path] = {**change["saved"], "version": counts[path]}
            for path in change.get("deleted", ()):
                files.pop(path, None)
        return dict(sorted(files.items()))


def full_path(file: Mapping[str, Any]) -> str:
    """The path of a file in the record, such as `models/best.pt`."""
    return join(str(file["path"]), str(file["filename"]))


def join(folder: str, name: str) -> str:
    """Join a folder of the record and a path in it; either may be empty.

    Raises:
        UsageError: it could leave the record.
    """
    return check_path(f"{folder.strip('/')}/{name.strip('/')}", what="path")
