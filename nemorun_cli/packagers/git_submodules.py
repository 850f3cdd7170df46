"""Finds the submodules of a repository, each read without its configuration, and what changed in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.git_repository import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.packagers.git_repository import Repository

_STATUS: Final = (
    *("status", "--porcelain=v1", "-z", "--no-renames"),
    *("--untracked-files=normal", "--ignore-submodules=dirty"),
)


class Submodules:
    """The submodules that are checked out; their private git folders are made in `scratch`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._behind_links: dict[Path, bool] = {}  # by folder
        self._inner: dict[Path, Repository | None] = {}  # by folder

    def changed(self, repository: Repository, *pathspec: str) -> Iterator[str]:
        """Yield the submodules with changes or new files of their own.

        `git status` would ask the same in each, with the configuration of the submodule.
        """
        for path in repository.gitlinks(*pathspec):
            inner = self.at(repository.top, path)
            if inner is not None and (inner.lines(*_STATUS) or any(self.changed(inner))):
                yield path

    def at(self, top: Path, path: str) -> Repository | None:
        """The repository of a submodule; None if it is not checked out."""
        folder = top / path
        if folder not in self._inner:
            is_there = (folder / ".git").exists() and not self.is_behind_link(folder, top)
            inner = find(folder, self._scratch) if is_there else None
            self._inner[folder] = inner if inner is not None and inner.top == folder else None
        return self._inner[folder]

    def is_behind_link(self, folder: Path, top: Path) -> bool:
        """Whether a folder is a link or below one: git has no files there, and it can lead elsewhere."""
        if folder not in self._behind_links:
            self._behind_links[folder] = folder != top and (
                folder.is_symlink() or self.is_behind_link(folder.parent, top)
            )
        return self._behind_links[folder]
