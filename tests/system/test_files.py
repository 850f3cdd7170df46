"""Private files are written whole or not at all, and folders are made with their parents."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.system.files import make_folder, whole, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    """The permissions of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_file_is_replaced_whole(tmp_path: Path, *, is_durable: bool) -> None:
    """Who has the old one open keeps it; the new one is private; nothing else is left."""
    path = tmp_path / "file"
    path.write_text("old")
    with path.open(encoding="ascii") as old:
        write_whole(path, b"new" * 100_000, is_durable=is_durable)
        assert old.read() == "old"
    assert path.read_bytes() == b"new" * 100_000
    assert mode(path) == 0o600
    assert names(tmp_path) == ["file"]


def test_the_old_content_is_seen_until_the_new_one_is_complete(tmp_path: Path) -> None:
    """A reader in between finds what was there before."""
    path = tmp_path / "file"
    path.write_text("old")
    with whole(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "half"


def test_what_fails_changes_nothing(tmp_path: Path) -> None:
    """An error while the content is written leaves the file as it was, and nothing beside it."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(TypeError), whole(path) as stream:
        stream.writelines([b"half", "a text"])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    """It is not replaced."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "file", b"x")
    assert names(tmp_path) == ["file"]


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    """The file beside it, which takes its place, has a short name."""
    path = tmp_path / ("x" * 255)
    write_whole(path, b"x", mtime_ns=1_000_000_007)
    assert path.stat().st_mtime_ns == 1_000_000_007


def test_a_relative_path_is_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is synced, too."""
    monkeypatch.chdir(tmp_path)
    write_whole("file", b"x", is_durable=True)
    make_folder("a/b")
    assert names(tmp_path) == ["a", "file"]


def test_folders_are_private_and_existing_ones_stay(tmp_path: Path) -> None:
    """Only the missing ones are made; a file is no folder."""
    (tmp_path / "open").mkdir(mode=0o755)
    make_folder(tmp_path / "open" / "a" / "b")
    make_folder(str(tmp_path / "open" / "a"))
    assert [mode(tmp_path / name) for name in ("open", "open/a", "open/a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "x")
