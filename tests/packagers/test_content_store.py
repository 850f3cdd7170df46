from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.packagers import content_store
from nemorun_cli.packagers.content import Entry, PackagerError, checked, digest_of, entry_of, listing
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a place for contents."""
    found = Home(tmp_path / "home")
    found.code.mkdir(parents=True)
    return found


def file(folder: Path, path: str, text: str = "text") -> Entry:
    """An entry for a new file."""
    source = folder / path
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text)
    found = entry_of(source, path)
    assert found is not None
    return found


def test_a_content_is_written_as_it_is(home: Home, tmp_path: Path) -> None:
    """Files, programs, links and folders arrive, private to their user, under the name of their hash."""
    program = file(tmp_path, "bin/run")
    entries = [
        file(tmp_path, "a/b/c"),
        Entry(path=program.path, kind="program", source=program.source),
        Entry(path="link", kind="link", target="a/b/c"),
        Entry(path="out", kind="folder"),
    ]
    folder, told = content_store.put(home, entries)
    assert folder.name == told.hash[:16]
    assert (folder / "link").read_text() == "text"
    assert (folder / "out").is_dir()
    assert os.access(folder / "bin/run", os.X_OK)
    assert not os.access(folder / "a/b/c", os.X_OK)
    assert (folder / "a/b/c").stat().st_mode & 0o077 == 0
    assert (told.files, told.bytes) == (3, 8)


def test_what_counts_is_what_was_copied(home: Home, tmp_path: Path) -> None:
    """A list names what is in the store, and the same content is found again without writing."""
    entries = [file(tmp_path, "a")]
    folder, told = content_store.put(home, entries)
    before = folder.stat().st_ino
    assert content_store.put(home, entries) == (folder, told)
    assert folder.stat().st_ino == before
    assert told == listing(entries, digest=digest_of)
    other, _ = content_store.put(home, [file(tmp_path, "a", "changed")])
    assert other != folder


def test_nothing_half_written_stays(home: Home, tmp_path: Path) -> None:
    """A file that vanishes meanwhile is named, and leaves no content behind."""
    entries = [file(tmp_path, "a"), file(tmp_path, "b")]
    (tmp_path / "b").unlink()
    with pytest.raises(PackagerError, match=r"/b was deleted"):
        content_store.put(home, entries)
    assert list(home.code.iterdir()) == []


def test_several_at_once_make_one_content(home: Home, tmp_path: Path) -> None:
    """Runs that ship the same at the same time end up with the same folder."""
    entries = [file(tmp_path, f"d/{number}", str(number)) for number in range(50)]
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(content_store.put(home, entries)[0])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert list(home.code.iterdir()) == [found[0]]


def test_a_content_in_use_is_not_discarded(home: Home, tmp_path: Path) -> None:
    """While an experiment is being made nothing is removed; afterwards what nobody refers to is."""
    folder, _ = content_store.put(home, [file(tmp_path, "a")])
    assert list(content_store.unused(home, {folder.name})) == []
    assert list(content_store.unused(home, set())) == [folder]
    with content_store.used(home), content_store.used(home):
        assert not content_store.discard(home, folder)
    assert content_store.discard(home, folder)
    assert not folder.exists()


def test_the_lock_is_let_go(home: Home) -> None:
    """After an experiment is made, whatever came of it, nobody holds the lock."""
    with pytest.raises(ValueError, match="broken"), content_store.used(home):
        raise ValueError("broken")
    with home.code_lock.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "./a", "", "a/.git/config", ".git"])
def test_a_path_that_leaves_its_place_is_refused(path: str) -> None:
    """No packager, whoever wrote it, can have something written outside of the content."""
    with pytest.raises(PackagerError, match="outside of the content"):
        checked([Entry(path=path, kind="folder")], what="tried")


@pytest.mark.parametrize(
    ("path", "target", "is_right"),
    [
        ("a", "b", True),
        ("a", "/b", True),
        ("d/e/a", "../../b", True),
        ("d/e/a", "../../../b", False),
        ("a", "..", False),
        ("a", "d/../../b", False),
        ("d/a", "./.././b", True),
    ],
)
def test_a_link_may_lead_within_or_away_for_good(path: str, target: str, *, is_right: bool) -> None:
    """A relative link has to lead into the content: elsewhere it would lead to something else."""
    entries = [Entry(path=path, kind="link", target=target)]
    if is_right:
        assert checked(entries, what="tried") == tuple(entries)
    else:
        with pytest.raises(PackagerError, match="points outside of what is shipped"):
            checked(entries, what="tried")


def test_nothing_is_written_through_a_link() -> None:
    """What lies below a link of the same content is refused, in whatever order they are given."""
    entries = [Entry(path="a/b", kind="folder"), Entry(path="a", kind="link", target="/elsewhere")]
    for order in (entries, entries[::-1]):
        with pytest.raises(PackagerError, match="outside of the content"):
            checked(order, what="tried")
