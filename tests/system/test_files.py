"""Private files are written whole or not at all, and folders are made with their parents."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.hostile_files import KINDS, limited, put

from nemorun_cli.storage import requests, supervision
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import files, locks
from nemorun_cli.system.files import RefusedFileError, make_folder, whole, write_whole

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


def test_a_folder_that_cannot_be_created_is_an_error() -> None:
    """In some file systems of the kernel no folder can be created, though the folder above exists."""
    with pytest.raises(FileNotFoundError):
        files.make_folder("/proc/self/a/b")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a huge file"])
def test_only_a_regular_file_that_is_no_link_is_opened(tmp_path: Path, kind: str) -> None:
    """Anything else is refused at once, to read, append and change; what is behind a link stays as it is."""
    secret = tmp_path / "foreign" / "secret"
    secret.parent.mkdir()
    secret.write_text("secret")
    put(path := tmp_path / "file", kind, secret=secret)
    openers = [
        lambda: files.descriptor_to_read(path, follows_link=False),
        lambda: files.descriptor_to_read(path, inside=tmp_path),
        lambda: files.descriptor_to_append(path),
        lambda: files.descriptor_to_change(path),
    ]
    for opener in openers:
        with (
            limited(kind),
            pytest.raises(OSError, match=r"not a regular file|symbolic link|directory|No such"),
        ):
            opener()
    with limited(kind), pytest.raises(OSError):  # noqa: PT011 - whichever the kernel names
        files.write(path, "text")
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("part", ["a", "a/b", "a/b/file"])
def test_no_part_of_a_path_below_a_folder_may_be_a_link(tmp_path: Path, part: str) -> None:
    """Above the folder links are followed, below it none; a folder that is missing is no link."""
    (tmp_path / "real").mkdir()
    home = tmp_path / "home"
    home.symlink_to("real")
    path = home / "a" / "b" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"text")
    assert files.read_bytes(path, inside=home) == b"text"
    with pytest.raises(FileNotFoundError):
        files.read_bytes(home / "none" / "file", inside=home)
    with pytest.raises(NotADirectoryError):
        files.read_bytes(path / "file", inside=home)
    (home / part).rename(tmp_path / "moved")
    (home / part).symlink_to(tmp_path / "moved")
    with pytest.raises(RefusedFileError, match="symbolic link"):
        files.read_bytes(path, inside=home)
    assert files.read_bytes(path) == b"text"
    assert files.is_behind_link(str(path), inside=str(home))
    with pytest.raises(RefusedFileError, match=r"'\.\.'"):
        files.read_bytes(f"{home}/../home/a/b/file", inside=home)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    """A larger one is refused before it is read, and one that grows while it is read after the limit."""
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert files.read_bytes(path, limit=4) == b"1234"
    with pytest.raises(RefusedFileError, match="larger than 3 bytes"):
        files.read_bytes(path, limit=3)
    with files.open_to_read(path) as stream:
        stream.seek(2)
        assert files.at_most(2, stream, path) == b"34"
    put(path, "a huge file", secret=tmp_path)
    with limited("a huge file"), pytest.raises(RefusedFileError, match="larger than"):
        files.read_bytes(path)


def test_a_wake_up_is_written_to_a_fifo_only(tmp_path: Path) -> None:
    """A file that has its place, or one behind a link, is not changed, and stands for no listener."""
    run = ExperimentFiles(tmp_path)
    other = tmp_path / "other"
    other.write_text("text")
    for make in (lambda: run.wake.symlink_to(other), lambda: other.rename(run.wake)):
        run.wake.unlink(missing_ok=True)
        make()
        requests.wake(run)
        assert run.wake.read_text() == "text"
        assert not supervision.is_listening(run)
        assert not locks.is_held(run.wake)


def test_what_is_copied_is_a_regular_file(tmp_path: Path) -> None:
    """A copy has the permissions of the file, or the given ones; a FIFO is refused."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("text")
    source.chmod(0o750)
    files.copy_file(source, target)
    assert (target.read_text(), mode(target)) == ("text", 0o750)
    files.copy_file(source, target, mode=0o600)
    assert mode(target) == 0o600
    put(source, "a FIFO", secret=tmp_path)
    with limited("a FIFO"), pytest.raises(RefusedFileError):
        files.copy_file(source, target)
    assert target.read_text() == "text"


@pytest.mark.parametrize("target", ["text", "nowhere"])
def test_a_new_file_replaces_nothing(tmp_path: Path, target: str) -> None:
    """What has the path stays, also a link to nothing; nothing else is left."""
    path = tmp_path / "file"
    files.write_new(path, b"first", mode=0o644)
    (tmp_path / "link").symlink_to(target)
    for taken in (path, tmp_path / "link"):
        with pytest.raises(FileExistsError):
            files.write_new(taken, b"second")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["file", "link"]


def test_a_new_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails half-way leaves neither a torn file nor a temporary one."""
    code = "import sys; from nemorun_cli.system import files; files.write_new(sys.argv[1], bytes(9000))"
    limited_run = ["bash", "-c", 'ulimit -f 4; exec "$@"', "-", sys.executable, "-c", code, tmp_path / "file"]
    failed = subprocess.run(limited_run, capture_output=True, text=True, check=False)
    assert "File too large" in failed.stderr
    assert names(tmp_path) == []
