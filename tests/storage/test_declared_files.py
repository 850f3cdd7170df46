"""The globs of `cache`: which files they match, and which of them overlap."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.model import globs
from nemorun_cli.storage.step_cache.declared_files import (
    Folders,
    Glob,
    UnreadableFolderError,
    files,
    overlap,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TREE = (
    *("a.csv", "b.csv", ".hidden", "data/a.csv", "data/sub/c.csv", "data/sub/deep/d.csv", "x[1]/e.csv"),
    *(".git/config", "data/__pycache__/m.pyc", "é/ü.csv"),
)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A workdir with a tree of files, and an empty shared folder."""
    for name in TREE:
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "shared").mkdir()
    return Folders(tmp_path / "work", tmp_path / "shared")


def names(pattern: str, folders: Folders) -> list[str]:
    """The names of the files that match."""
    found = list(files(pattern, folders))
    assert all(path.is_file() for _, path in found)
    return sorted(name for name, _ in found)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("./data//a.csv", ["data/a.csv"]),
        ("data", ["data/a.csv", "data/sub/c.csv", "data/sub/deep/d.csv"]),
        ("data/*", ["data/a.csv", "data/sub/c.csv", "data/sub/deep/d.csv"]),
        ("data/**/d.csv", ["data/sub/deep/d.csv"]),
        ("**/sub/*.csv", ["data/sub/c.csv"]),
        ("**", sorted(set(TREE) - {".git/config", "data/__pycache__/m.pyc"})),
        ("**/**/c.csv", ["data/sub/c.csv"]),
        (".git/*", [".git/config"]),
        ("data/__pycache__", ["data/__pycache__/m.pyc"]),
        ("x[[]1]/*", ["x[1]/e.csv"]),
        ("[!a].csv", ["b.csv"]),
        ("a.csv/x", []),
        ("nothing/*", []),
        ("é", ["é/ü.csv"]),
        ("../work/a.csv", ["../work/a.csv"]),
    ],
)
def test_a_glob_matches_files(folders: Folders, pattern: str, expected: list[str]) -> None:
    """A folder stands for all in it; what git and Python write for themselves counts only if it is named."""
    assert names(pattern, folders) == expected


def test_a_glob_starts_where_it_says(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of files begin as the glob does, so that they are the same in every experiment."""
    (folders.shared / "m").mkdir()
    (folders.shared / "m" / "w.pt").touch()
    monkeypatch.setenv("HOME", str(folders.workdir))
    assert names("$EXP_SHARED/**", folders) == names("${EXP_SHARED}/m", folders) == ["$EXP_SHARED/m/w.pt"]
    assert names("~/data/a.csv", folders) == ["~/data/a.csv"]
    assert names(f"{folders.workdir}/*.csv", folders) == [f"{folders.workdir}/{name}.csv" for name in "ab"]
    assert [Glob.of(text).is_inside for text in ("a", "$EXP_SHARED/a", "../a", "/a", "~/a")] == [
        *(True, True),
        *(False, False, False),
    ]


def test_links_count_as_what_they_lead_to(folders: Folders, tmp_path: Path) -> None:
    """A link to a folder that contains it ends; a dangling link and a FIFO are no files."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "f.csv").touch()
    links = folders.workdir / "links"
    links.mkdir()
    (links / "far").symlink_to(tmp_path / "far")
    (links / "up").symlink_to(links)
    (links / "gone").symlink_to("nowhere")
    (links / "a.csv").symlink_to("../a.csv")
    os.mkfifo(links / "fifo")
    assert names("links/**", folders) == ["links/a.csv", "links/far/f.csv"]


def test_a_loop_of_links_is_an_error(folders: Folders) -> None:
    """What cannot be read is an error, not a lack of files."""
    (folders.workdir / "loop").symlink_to("loop")
    with pytest.raises(UnreadableFolderError, match="loop cannot be read"):
        names("loop/*", folders)


NAMES = st.text("ab", min_size=1, max_size=2)
PATHS = st.lists(NAMES, min_size=1, max_size=3)
GLOBS = st.lists(st.just("**") | st.text("ab*?", min_size=1, max_size=3), min_size=1, max_size=3)


@settings(
    max_examples=amount(25, long=500),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(paths=st.lists(PATHS, max_size=5), pattern=GLOBS)
def test_a_search_finds_what_the_glob_matches(
    tmp_path_factory: pytest.TempPathFactory, paths: Sequence[list[str]], pattern: list[str]
) -> None:
    """A search that reads only the folders it needs finds exactly the files that match by definition."""
    root = tmp_path_factory.mktemp("tree")
    for parts in paths:
        path = root.joinpath(*parts)
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    text = "/".join(pattern)
    present = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    assert names(text, Folders(root, root)) == sorted(filter(globs.compiled(text).fullmatch, present))


@settings(max_examples=amount(60, long=3000), deadline=None)
@given(one=GLOBS, other=GLOBS, path=PATHS)
def test_globs_that_match_one_path_overlap(one: list[str], other: list[str], path: list[str]) -> None:
    """Whatever matches both globs shows that they overlap, in either order."""
    first, second = "/".join(one), "/".join(other)
    assert overlap(first, second) == overlap(second, first)
    if all(globs.compiled(glob).fullmatch("/".join(path)) for glob in (first, second)):
        assert overlap(first, second)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.pt", "b.pt", False),
        ("a*", "b*", False),
        ("a*", "*b", True),
        ("a*b", "a*c", False),
        ("[ab].pt", "[bc].pt", True),
        ("[ab].pt", "[cd].pt", False),
        ("[!a].pt", "a.pt", False),
        ("a", "a/b/c", True),
        ("a/*.pt", "a/b/c.pt", False),
        ("a/**", "b/**", False),
        ("**/x", "y", True),
        ("$EXP_SHARED/a", "a", False),
        ("${EXP_SHARED}/a", "$EXP_SHARED/a", True),
    ],
)
def test_globs_overlap_exactly(one: str, other: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """Globs of different names, folders or starts do not overlap."""
    assert overlap(one, other) is expected
