"""Folders that are deeper than the recursion limit, the length of a path and the number of open files."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from support.hostile_files import deep

from nemorun_cli.system import trees

if TYPE_CHECKING:
    from pathlib import Path

DEPTH = 2100
"""Its path has more than PATH_MAX (4,096) bytes."""


def test_folders_of_any_depth_are_walked_and_removed(tmp_path: Path) -> None:
    """The size is that of all files, and nothing is left, though few files may be open."""
    top = tmp_path / "top"
    deep(top, DEPTH, file=b"12345")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limits[0]), limits[1]))
    try:
        assert sum(1 for _ in trees.walk(top)) == DEPTH + 1
        assert trees.size(top) == 5
        trees.remove(top)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not top.exists()


def test_parents_are_visited_first_and_links_not(tmp_path: Path) -> None:
    """A link is an entry of its folder; what it leads to is neither visited, counted nor removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "c").mkdir()
    (top / "a/b/file").write_text("123")
    (top / "a/link").symlink_to(elsewhere)
    visited = [visit.path() for visit in trees.walk(top)]
    assert sorted(visited) == [str(top / name) for name in ("", "a", "a/b", "c")]
    assert visited.index(str(top / "a")) < visited.index(str(top / "a/b"))
    assert [visit.path(e.name) for visit in trees.walk(top) for e in visit.entries if e.is_symlink()] == [
        str(top / "a/link")
    ]
    assert trees.size(top) == 3 + len(os.fsencode(elsewhere))
    trees.remove(top)
    assert not top.exists()
    assert (elsewhere / "kept").read_text() == "kept"


def test_what_is_no_folder_is_not_walked(tmp_path: Path) -> None:
    """A link to a folder is not walked either; a file has its own size."""
    (tmp_path / "file").write_text("12")
    (tmp_path / "link").symlink_to(tmp_path)
    assert [
        *trees.walk(tmp_path / "file"),
        *trees.walk(tmp_path / "link"),
        *trees.walk(tmp_path / "no"),
    ] == []
    assert trees.size(tmp_path / "file") == 2
    assert trees.size(tmp_path / "no") == 0
