"""NeMo-Run's packagers ship the same files as there, and tasks start in the root of them."""

from __future__ import annotations

import subprocess
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import packagers as core
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.packagers import (
    RULES,
    GitArchivePackager,
    HybridPackager,
    Packager,
    PatternPackager,
)
from nemorun_cli.packagers.content import PackagerError

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.packagers.content import Content


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits, a change, a new file and ignored ones."""
    top = tmp_path_factory.mktemp("outer") / "repository"
    for path in ("train.py", "src/model.py"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text("first", encoding="utf-8")
    (top / ".gitignore").write_text("data\n", encoding="utf-8")
    git(top, "init", "-q", "-b", "main")
    commit(top)
    git(top, "tag", "first")
    (top / "train.py").write_text("second", encoding="utf-8")
    commit(top)
    (top / "train.py").write_text("changed", encoding="utf-8")
    (top / "new.py").touch()
    (top / "data/deep").mkdir(parents=True)
    (top / "data/a.bin").touch()
    (top / "data/deep/b.bin").touch()
    return top


@pytest.fixture
def repository(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, as the working folder."""
    monkeypatch.chdir(made)
    return made


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    git(folder, "add", ".")
    git(folder, *identity, "commit", "-q", "-m", "change")


def content(packager: Packager, folder: Path, tmp_path: Path) -> Content:
    """What the packager ships for a program in this folder."""
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    return core.make(packager.change().options["packager"]).look(folder, scratch=scratch)


def files(packager: Packager, folder: Path, tmp_path: Path) -> list[str]:
    return [entry.path for entry in content(packager, folder, tmp_path).entries]


def test_every_field_has_a_rule() -> None:
    """The tables name the fields of the classes."""
    for kind, rules in RULES.items():
        assert rules.keys() == {field.name for field in fields(kind)}, kind


def test_the_commit_is_shipped(repository: Path, tmp_path: Path) -> None:
    """Changes and new files are left out, and tasks start in the root, wherever the program is."""
    packager = GitArchivePackager()
    shipped = content(packager, repository / "src", tmp_path)
    texts = {entry.path: entry.source.read_text() for entry in shipped.entries if entry.source}
    assert texts == {".gitignore": "data\n", "src/model.py": "first", "train.py": "second"}
    assert packager.change().keys == {"workdir": str(repository)}
    assert GitArchivePackager(subpath="src").change().keys == {"workdir": str(repository / "src")}
    assert files(GitArchivePackager(subpath="src"), repository, tmp_path) == ["model.py"]


def test_another_commit_and_another_repository_are_shipped(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ref` and `basepath` name them; by default it is the repository of the working folder."""
    shipped = content(GitArchivePackager(ref="first"), repository, tmp_path)
    assert "first" in {
        entry.source.read_text() for entry in shipped.entries if entry.path == "train.py" and entry.source
    }
    monkeypatch.chdir(repository.parent)
    assert GitArchivePackager().change().options["packager"] == {"type": "git", "dirty": "ignore"}
    other = GitArchivePackager(basepath="repository/src")
    assert files(other, repository.parent, tmp_path) == [".gitignore", "src/model.py", "train.py"]
    assert other.change().keys == {"workdir": str(repository)}


@pytest.mark.parametrize("check", ["check_uncommitted_changes", "check_untracked_files"])
def test_uncommitted_work_is_refused_on_request(repository: Path, tmp_path: Path, check: str) -> None:
    """NeMo-Run's checks are ours."""
    with pytest.raises(PackagerError, match="not committed"):
        content(GitArchivePackager(**{check: True}), repository, tmp_path)
    packager = GitArchivePackager(include_submodules=False)
    assert packager.change().options["packager"]["submodules"] is False


def test_further_files_are_shipped_with_the_commit(repository: Path, tmp_path: Path) -> None:
    """Patterns name files that git ignores; each has the folder that its paths are relative to."""
    data = GitArchivePackager(include_pattern=str(repository / "data"))
    assert files(data, repository, tmp_path) == [
        ".gitignore",
        "data/a.bin",
        "data/deep/b.bin",
        "src/model.py",
        "train.py",
    ]
    several = GitArchivePackager(
        include_pattern=["data/*.bin", "data/deep"], include_pattern_relative_path=["", "data"]
    )
    assert files(several, repository, tmp_path) == [
        ".gitignore",
        "data/a.bin",
        "deep/b.bin",
        "src/model.py",
        "train.py",
    ]
    assert several.change().keys == {"workdir": str(repository)}


def test_patterns_are_shipped(repository: Path, tmp_path: Path) -> None:
    """Files below a folder that matches count; the root is the folder that the paths are relative to."""
    one = PatternPackager(include_pattern=str(repository / "data"), relative_path=str(repository))
    assert files(one, repository, tmp_path) == ["data/a.bin", "data/deep/b.bin"]
    assert one.change().keys == {"workdir": str(repository)}
    everything = PatternPackager(include_pattern="data", relative_path="data")
    assert files(everything, repository, tmp_path) == ["a.bin", "deep/b.bin"]
    two = PatternPackager(include_pattern=["data/*.bin", "src"], relative_path=["data", "."])
    assert files(two, repository, tmp_path) == ["a.bin", "src/model.py"]


def test_several_packagers_are_shipped(repository: Path, tmp_path: Path) -> None:
    """Each in its folder, or all in the root."""
    data = PatternPackager(include_pattern="data/*.bin", relative_path="data")
    parts: dict[str, Packager] = {"code": GitArchivePackager(subpath="src"), "tables": data}
    assert files(HybridPackager(sub_packagers=parts), repository, tmp_path) == [
        "code/model.py",
        "tables/a.bin",
    ]
    at_root = HybridPackager(sub_packagers=parts, extract_at_root=True)
    assert files(at_root, repository, tmp_path) == ["a.bin", "model.py"]
    assert at_root.change().keys == {"workdir": str(repository / "src")}


def test_code_that_is_already_there_is_used() -> None:
    """Nothing is shipped: tasks start in that folder."""
    packager = GitArchivePackager(symlink_from_remote_dir="/scratch/code")
    assert packager.change() == ({}, {"workdir": "/scratch/code"})
    assert Packager(debug=True).change() == ({}, {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GitArchivePackager(check_uncommited_changes=True),
            "has no field 'check_uncommited",
        ),
        (lambda: PatternPackager(include_pattern="x"), "needs the field 'relative_path'"),
        (lambda: PatternPackager(include_pattern="", relative_path="."), "include_pattern is empty"),
        (lambda: PatternPackager(include_pattern=["a", "b"], relative_path="."), "2 patterns, and 1 folders"),
        (lambda: PatternPackager(include_pattern="/etc/passwd", relative_path="/var"), "is not in /var"),
        (HybridPackager, "ships nothing"),
    ],
)
def test_what_cannot_be_shipped_is_refused(make: Any, message: str) -> None:
    """The message names the field."""
    with pytest.raises(UsageError, match=message):
        make().change()
