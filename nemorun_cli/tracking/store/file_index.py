"""Which contents were saved and deleted under which name."""

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
    """The changes of all writers, in order; a file's versions are counted in that order."""

    def __init__(self, place: Place, writer: Writer) -> None:
        self._folder = place.files
        self._writer = writer
        self._counts: dict[str, int] = {}  # the versions of each path, read once an opening
        self._counted_in: str | None = None

    def add(self, file: File, *, moment: float) -> File:
        """Note a saved file, and give it with its version."""
        path = full_path(file)
        if self._counted_in != self._writer.name:
            self._counts = {full_path(known): known["version"] for known in self.versions()}
            self._counted_in = self._writer.name
        self._writer.append(self._folder, encode_row(moment, {"saved": file}))
        self._counts[path] = self._counts.get(path, 0) + 1
        return {**file, "version": self._counts[path]}

    def remove(self, paths: list[str], *, moment: float) -> None:
        """Note that paths were deleted."""
        self._writer.append(self._folder, encode_row(moment, {"deleted": paths}))

    def versions(self, openings: Collection[str] | None = None) -> list[File]:
        """Every version of every file, the oldest first, deleted ones included."""
        changes, _ = row_files.series(self._folder, openings=openings)
        counts: dict[str, int] = {}
        found = []
        for change in changes:
            if "saved" in change:
                path = full_path(change["saved"])
                counts[path] = counts.get(path, 0) + 1
                found.append({**change["saved"], "version": counts[path]})
        return found

    def present(self, openings: Collection[str] | None = None) -> dict[str, File]:
        """The latest version of each path that is not deleted, by path."""
        changes, _ = row_files.series(self._folder, openings=openings)
        counts: dict[str, int] = {}
        found: dict[str, File] = {}
        for change in changes:
            if "saved" in change:
                path = full_path(change["saved"])
                counts[path] = counts.get(path, 0) + 1
                found[path] = {**change["saved"], "version": counts[path]}
            for path in change.get("deleted", ()):
                found.pop(path, None)
        return dict(sorted(found.items()))


def full_path(file: Mapping[str, Any]) -> str:
    """`models/best.pt`."""
    return join(str(file["path"]), str(file["filename"]))


def join(folder: str, name: str) -> str:
    """A path in the record, of a folder and a path in it, either of which may be empty.

    Raises:
        UsageError: it could leave the record.
    """
    return check_path(f"{folder.strip('/')}/{name.strip('/')}", what="path")
