"""The index of saved files: which contents were saved and deleted under which path."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import encode_row
from nemorun_cli.tracking.store.record_paths import as_text, check_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_writer import Writer

File = dict[str, Any]  # with ML-Dash's keys: id, path, filename, sizeBytes, checksum, contentType, …


class FileIndex:
    """The changes of all writers, in order; versions of a file are numbered in that order."""

    def __init__(self, place: Place, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self._counts: dict[str, int] = {}  # the number of versions of each path, read once per opening
        self._present: set[str] = set()  # the paths of files, read with the counts
        self._folders: Counter[str] = Counter()  # how many files are in each folder and below it
        self._counted_in: str | None = None

    def require_free(self, paths: Sequence[str]) -> None:
        """Refuse paths that are folders of saved files, or below saved files: they could not be copied out.

        Raises:
            InvalidValueError: the message names what is in the way.
        """
        if self._counted_in != self._writer.name:
            self._count()
        if any(self._problem(path) for path in paths):
            if not self._writer.is_off:
                self._count()  # another process may have deleted it
            for problem in filter(None, map(self._problem, paths)):
                raise InvalidValueError(problem, hint="choose another name, or delete what is there first")

    def _problem(self, path: str) -> str | None:
        """Why no file can have this path, or None."""
        if self._folders[path]:
            return f"{path!r} is a folder of saved files, so it cannot be the name of a file"
        above = next((folder for folder in _folders_of(path) if folder in self._present), None)
        return above and f"{above!r} is a saved file, so there can be no file {path!r} below it"

    def _count(self) -> None:
        """Read the versions and paths of all files."""
        versions, present = _replayed(row_files.series(self._place.files, kind="files")[0])
        self._counts = {full_path(version): version["version"] for version in versions}
        self._present = set(present)
        self._folders = Counter(folder for path in present for folder in _folders_of(path))
        self._counted_in = self._writer.name

    def add(self, files: Sequence[File], *, timestamp: float) -> list[File]:
        """Record saved files, all or none, and return them with their versions."""
        if self._counted_in != self._writer.name:
            self._count()
        rows = [encode_row(timestamp, {"saved": file}) for file in files]
        self._writer.append(self._place.files, b"".join(rows))
        return [{**file, "version": self._counted(full_path(file))} for file in files]

    def _counted(self, path: str) -> int:
        """The number of versions of a path with a new one."""
        if path not in self._present:
            self._present.add(path)
            self._folders.update(_folders_of(path))
        self._counts[path] = self._counts.get(path, 0) + 1
        return self._counts[path]

    def remove(self, paths: list[str], *, timestamp: float) -> None:
        """Record that paths were deleted."""
        self._append(timestamp, {"deleted": paths})
        for path in self._present.intersection(paths):
            self._present.remove(path)
            for folder in _folders_of(path):
                self._folders[folder] -= 1

    def update(self, file_id: str, about: Mapping[str, Any], *, timestamp: float) -> None:
        """Record other descriptions, tags or the like of a saved file; its content is the same."""
        self._append(timestamp, {"updated": {"id": file_id, **about}})

    def _append(self, timestamp: float, change: Mapping[str, Any]) -> None:
        self._writer.append(self._place.files, encode_row(timestamp, change))

    def versions(self, openings: Collection[str] | None = None) -> list[File]:
        """All versions of all files, oldest first, including deleted ones."""
        return _replayed(self._changes(openings))[0]

    def present(self, openings: Collection[str] | None = None) -> dict[str, File]:
        """The latest version of each path that is not deleted, by path."""
        return dict(sorted(_replayed(self._changes(openings))[1].items()))

    def _changes(self, openings: Collection[str] | None) -> list[row_files.Row]:
        """The rows of all changes; warns of damaged lines."""
        changes, skipped = row_files.series(self._place.files, openings=openings, kind="files")
        row_files.warn_of(skipped)
        return changes


def _replayed(changes: Iterable[Mapping[str, Any]]) -> tuple[list[File], dict[str, File]]:
    """All versions, oldest first, and the files that are not deleted, after all changes."""
    counts: dict[str, int] = {}
    versions: list[File] = []
    files: dict[str, File] = {}
    for change in changes:
        if "saved" in change:
            path = full_path(change["saved"])
            counts[path] = counts.get(path, 0) + 1
            files[path] = {**change["saved"], "version": counts[path]}
            versions.append(files[path])
        for path in change.get("deleted", ()):
            files.pop(path, None)
        if "updated" in change:
            _apply(change["updated"], versions)
    return versions, files


def _apply(update: Mapping[str, Any], versions: list[File]) -> None:
    """Change the file with the id of an update in place, in whichever list it is."""
    for file in versions:
        if file.get("id") == update["id"]:
            file.update(update)


def _folders_of(path: str) -> list[str]:
    """The folders that a path is in: `a` and `a/b` for `a/b/c`."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def full_path(file: Mapping[str, Any]) -> str:
    """The path of a file in the record, such as `models/best.pt`."""
    return join(str(file["path"]), str(file["filename"]))


def join(folder: str, name: str) -> str:
    """Join a folder of the record and a path in it; either may be empty.

    Raises:
        TypeError: one is no path.
        InvalidValueError: it could leave the record.
    """
    folder, name = as_text(folder, what="a path in a record"), as_text(name, what="a path in a record")
    return check_path(f"{folder.strip('/')}/{name.strip('/')}", what="path")
