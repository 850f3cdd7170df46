from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.packagers.environments import store
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one complete environment."""
    made = Home(tmp_path / "home")
    programs = store.place(made, ID) / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to("/bin/sh")
    store.complete(made, ID, {"version": "3.12.4", "packages": {}})
    return made


def test_an_environment_counts_only_if_all_of_it_is_there(home: Home, tmp_path: Path) -> None:
    """Not without its Python or its manifest, with a damaged one, or in another place than it was made in."""
    assert (store.manifest(home, ID) or {})["version"] == "3.12.4"
    home.directory.rename(tmp_path / "moved")
    assert store.manifest(Home(tmp_path / "moved"), ID) is None
    (tmp_path / "moved").rename(home.directory)
    python = store.place(home, ID) / "bin" / "python"
    python.unlink()
    assert store.manifest(home, ID) is None
    python.symlink_to("/bin/sh")
    (store.place(home, ID) / store.MANIFEST).write_text('{"version"')
    assert store.manifest(home, ID) is None
    assert store.ids(home) == [ID]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_whatever_has_its_place_is_cleared(home: Home, tmp_path: Path, kind: str) -> None:
    """A link is removed, and not what it leads to."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "data").touch()
    if kind != "folder":
        store.clear(home, ID)
        place = store.place(home, ID)
        place.touch() if kind == "file" else place.symlink_to(kept)
    store.clear(home, ID)
    assert not os.path.lexists(store.place(home, ID))
    assert (kept / "data").exists()


def test_what_is_used_or_made_now_is_not_removed(home: Home) -> None:
    """Nor while an experiment is being created, which may begin to refer to it."""
    with store.used(home):
        assert store.discard(home, ID, set) == store.CREATING
    assert store.discard(home, ID, lambda: {ID}) == "an experiment refers to it"
    lock = locks.take(store.lock_of(home, ID))
    assert lock is not None
    assert store.is_busy(home, ID)
    assert store.discard(home, ID, set) == store.BUSY
    os.close(lock)
    assert store.discard(home, ID, set) is None
    assert store.ids(home) == []
    assert not store.lock_of(home, ID).exists()
