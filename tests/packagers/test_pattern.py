from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.packagers.content import PackagerError
from nemorun_cli.packagers.hybrid import HybridPackager
from nemorun_cli.packagers.pattern import PatternPackager

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.packagers.content import Content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of code and more."""
    for path in ("train.py", "src/a.py", "src/b/c.py", "src/b/c.pyc", "data/large", "src/.git/config"):
        target = tmp_path / "spec" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path, encoding="utf-8")
    return tmp_path / "spec"


def look(folder: Path, *include: str, **options: Any) -> Content:
    """What the globs choose for a spec of this folder."""
    return PatternPackager({"include": list(include), **options}).look(folder, scratch=folder)


def paths(content: Content) -> list[str]:
    """The paths of a content."""
    return [entry.path for entry in content.entries]


def test_globs_choose(folder: Path) -> None:
    """What include names and exclude does not is shipped; a .git folder never is."""
    content = look(folder, "*.py", "src", exclude=["**/*.pyc"])
    assert paths(content) == ["src/a.py", "src/b/c.py", "train.py"]
    assert content.left_out == ("src/b/c.pyc (excluded)",)
    assert (content.root, content.place) == (folder, ".")


def test_a_root_may_begin_with_a_tilde(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the folder of the user, as for every path of a spec."""
    monkeypatch.setenv("HOME", str(folder))
    assert paths(look(folder / "data", "a.py", root="~/src")) == ["a.py"]


def test_another_root_can_be_given(folder: Path) -> None:
    """Globs may begin at a folder above the spec's, or beside it."""
    content = look(folder / "src", "train.py", root="..")
    assert (paths(content), content.place) == (["train.py"], "src")
    assert look(folder / "src", "large", root="../data").place is None


@pytest.mark.parametrize("pattern", ["nothing/*.py", "train.pyc", "src/*.md"])
def test_a_glob_that_fits_nothing_is_a_problem(folder: Path, pattern: str) -> None:
    """Each glob has to choose something, for the one that does not is mistyped."""
    with pytest.raises(PackagerError, match=r"nothing in [^ ]+ matches"):
        look(folder, "train.py", pattern)


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """A link within is shipped as a link, one that leads out is refused, and so is a glob through it."""
    (folder / "src/link").symlink_to("b")
    content = look(folder, "src/**", exclude=["src/b"])
    assert {entry.path: entry.kind for entry in content.entries} == {"src/a.py": "file", "src/link": "link"}
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.py").touch()
    (folder / "out").symlink_to("../outside")
    with pytest.raises(PackagerError, match="out -> "):
        look(folder, "*")
    with pytest.raises(PackagerError, match="points outside of"):
        look(folder, "out/x.py")


def test_several_packagers_make_one_content(folder: Path) -> None:
    """Each part of a hybrid goes to its own folder, and . is the root."""
    parts = {
        ".": {"type": "pattern", "include": ["train.py"]},
        "lib/x": {"type": "pattern", "root": "src", "include": ["**/*.py"]},
    }
    content = HybridPackager({"parts": parts}).look(folder, scratch=folder)
    assert paths(content) == ["lib/x/a.py", "lib/x/b/c.py", "train.py"]
    assert content.place == "."


def test_several_packagers_share_a_folder(folder: Path) -> None:
    """A list of packagers is one part; of two files with one path the later one wins."""
    (folder / "other").mkdir()
    (folder / "other/train.py").write_text("other", encoding="utf-8")
    (folder / "other/more.py").write_text("more", encoding="utf-8")
    first = {"type": "pattern", "include": ["train.py", "src/a.py"]}
    second = {"type": "pattern", "include": ["*.py"], "root": "other"}
    content = HybridPackager({"parts": {".": [first, second]}}).look(folder, scratch=folder)
    assert paths(content) == ["more.py", "src/a.py", "train.py"]
    assert {str(entry.source) for entry in content.entries if entry.path == "train.py"} == {
        str(folder / "other/train.py")
    }
    assert content.facts["parts"].keys() == {".", ". (2)"}
    assert content.place == "."


def test_tasks_start_where_a_hybrid_says(folder: Path) -> None:
    """`start` is a folder of the content; by default it is the part with the spec."""
    parts = {"code": {"type": "pattern", "include": ["src/*.py"]}}
    shipped = {
        start: HybridPackager({"parts": parts, "start": start}).look(folder, scratch=folder)
        for start in (".", "code/src")
    }
    assert {start: content.start for start, content in shipped.items()} == {".": ".", "code/src": "code/src"}
    assert HybridPackager({"parts": parts}).look(folder, scratch=folder).start is None
    with pytest.raises(PackagerError, match="start: no part ships a folder lib"):
        HybridPackager({"parts": parts, "start": "lib"}).look(folder, scratch=folder)


def test_a_part_cannot_be_written_through_a_link(folder: Path) -> None:
    """A file below what another part ships as a link is refused."""
    (folder / "lib").symlink_to("/elsewhere")
    parts = {
        ".": {"type": "pattern", "include": ["lib"]},
        "lib": {"type": "pattern", "include": ["train.py"]},
    }
    with pytest.raises(PackagerError, match="outside of the content"):
        HybridPackager({"parts": parts}).look(folder, scratch=folder)
