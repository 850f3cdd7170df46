"""Files of a record with ML-Dash's look-ups: by the name of a file alone, and by tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.errors import NotFoundError
from nemorun_cli.tracking.files import Files

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.file_index import File

    FileList = list[File]  # `list` is a method below


class DashFiles(Files):
    """The files of a record, or those in one of its folders."""

    def list(self, pattern: str | None = None, *, openings: Collection[str] | None = None) -> FileList:
        """The latest version of each file here, by path; with `files(tags=…)`, those with one of the tags."""
        files = super().list(pattern, openings=openings)
        tags = set(self._about.get("tags") or ())
        return [file for file in files if tags.intersection(file["tags"] or ())] if tags else files

    def find(self, name: str = "", *, version: int | None = None) -> File:
        """The file at a path or with an id; if none is there, the first one with this name in any folder.

        Raises:
            NotFoundError: no file matches; the hint lists existing files.
        """
        try:
            return super().find(name, version=version)
        except NotFoundError:
            path = "/".join(part for part in (self._folder, name.strip("/")) if part)
            named = [file for file in self._files_in("") if file["filename"] == path]
            if version is not None or not named:
                raise
            return named[0]

    def exists(self, name: str = "") -> bool:
        """Whether `find` finds a file, or this is a folder with files."""
        try:
            self.find(name)
        except NotFoundError:
            return super().exists(name)
        return True
