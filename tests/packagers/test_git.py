from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support import repositories

from nemorun_cli.cli import spec_template
from nemorun_cli.packagers.content import PackagerError
from nemorun_cli.packagers.git import GitPackager

if TYPE_CHECKING:
    from pathlib import Path

    from support.repositories import Repo

    from nemorun_cli.packagers.content import Content

COMMITTED = [".gitignore", "experiments/spec.yaml", "src/lib.py", "src/main.py"]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with code, a folder for specs, and an ignored folder."""
    files = {
        ".gitignore": "data/\n*.pyc\n",
        "experiments/spec.yaml": "tasks: {}\n",
        "src/lib.py": "X = 1\n",
        "src/main.py": "print(1)\n",
    }
    made = repositories.make(tmp_path / "repo", files)
    made.write("data/large", "not code")
    return made


def look(repo: Repo, folder: str = "experiments", **options: Any) -> Content:
    """What the packager finds for a spec in this folder of the repository."""
    scratch = repo.folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return GitPackager(options).look(repo.folder / folder, scratch=scratch)


def paths(content: Content) -> list[str]:
    """The paths of a content."""
    return [entry.path for entry in content.entries]


def text(content: Content, path: str) -> str:
    """What would be shipped under a path."""
    source = next(entry.source for entry in content.entries if entry.path == path)
    assert source is not None
    return source.read_text(encoding="utf-8")


def test_a_clean_tree_is_its_commit(repo: Repo) -> None:
    """All that is committed is shipped, what is ignored is left out and told, and the commit is known."""
    content = look(repo)
    assert paths(content) == COMMITTED
    assert content.left_out == ("data/ (ignored)",)
    assert (content.root, content.place) == (repo.folder, "experiments")
    assert content.facts == {
        "commit": repo.git("rev-parse", "HEAD"),
        "branch": "main",
        "changed": 0,
        "new": 0,
        "changes": [],
    }
    assert content.diff == b""


@pytest.mark.parametrize("folder", ["", "experiments/"])
def test_the_schema_for_editors_is_not_shipped(repo: Repo, folder: str) -> None:
    """What `exp init` writes next to a spec is no change of the code, whether it is committed or not."""
    path = f"{folder}{spec_template.SCHEMA_FILE}"
    repo.write(path, "{}\n")
    content = look(repo, dirty="refuse")
    assert paths(content) == COMMITTED
    assert content.facts["new"] == 0
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "--message", "schema")
    repo.write(path, "{}\n\n")
    content = look(repo, dirty="refuse")
    assert (paths(content), content.diff) == (COMMITTED, b"")


def test_changes_and_new_files_are_shipped(repo: Repo) -> None:
    """What is not committed goes along: changed and new files as they are, deleted ones not at all."""
    repo.write("src/lib.py", "X = 2\n")
    repo.write("src/new ü 'name'\n.py", "new")
    (repo.folder / "src/main.py").unlink()
    content = look(repo)
    assert paths(content) == [".gitignore", "experiments/spec.yaml", "src/lib.py", "src/new ü 'name'\n.py"]
    assert text(content, "src/lib.py") == "X = 2\n"
    assert (content.facts["changed"], content.facts["new"]) == (2, 1)
    assert b"-X = 1\n+X = 2\n" in content.diff


def test_the_commit_alone_can_be_shipped(repo: Repo) -> None:
    """dirty: ignore gives every file as it was committed, and tells what that leaves out."""
    repo.write("src/lib.py", "X = 2\n")
    repo.write("src/new.py", "")
    repo.git("add", "src/lib.py")
    content = look(repo, dirty="ignore")
    assert paths(content) == COMMITTED
    assert text(content, "src/lib.py") == "X = 1\n"
    assert "src/lib.py (changed since the commit)" in content.left_out
    assert "src/new.py (not committed)" in content.left_out
    assert content.diff == b""


@pytest.mark.parametrize("change", ["src/lib.py", "src/new.py"])
def test_a_dirty_tree_can_be_refused(repo: Repo, change: str) -> None:
    """dirty: refuse names what is changed or new, and lets a clean tree pass."""
    assert paths(look(repo, dirty="refuse")) == COMMITTED
    repo.write(change, "X = 3\n")
    with pytest.raises(PackagerError, match=change) as refused:
        look(repo, dirty="refuse")
    assert "commit" in str(refused.value.hint)


@pytest.mark.parametrize("dirty", ["include", "ignore"])
def test_nothing_is_written_into_the_repository(repo: Repo, dirty: str) -> None:
    """A look changes no file of the tree or of .git: no index, no reference, no object."""
    repo.write("src/lib.py", "X = 2\n")
    os.utime(repo.folder / "src/main.py")  # git would like to refresh its index for that
    before = repo.everything()
    look(repo, dirty=dirty)
    assert repo.everything() == before


def test_a_hostile_repository_runs_nothing(repo: Repo, tmp_path: Path) -> None:
    """What the configuration of a repository names is not run by looking at it."""
    witness = tmp_path / "ran"
    program = repo.write("../evil.sh", f"#!/bin/sh\ntouch {witness}\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "core.pager", "core.editor"):
        repo.git("config", key, str(program))
    repo.write("src/lib.py", "X = 2\n")
    look(repo)
    assert not witness.exists()


def test_a_hooks_variables_do_not_lead_elsewhere(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started from a hook of another repository, the spec's own one is looked at."""
    other = repositories.make(tmp_path / "other", {"foreign": ""})
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git/index"))
    assert paths(look(repo)) == COMMITTED


def test_programs_and_links_stay_what_they_are(repo: Repo) -> None:
    """Files that can be run are shipped as such, and links as links."""
    repo.write("run.sh", "").chmod(0o755)
    (repo.folder / "src/link").symlink_to("lib.py")
    kinds = {entry.path: (entry.kind, entry.target) for entry in look(repo).entries}
    assert kinds["run.sh"] == ("program", "")
    assert kinds["src/link"] == ("link", "lib.py")
    assert kinds["src/lib.py"] == ("file", "")


def test_a_link_that_would_lead_elsewhere_is_refused(repo: Repo) -> None:
    """A relative link out of the tree is a problem unless it is excluded; an absolute one stays as it is."""
    (repo.folder / "src/out").symlink_to("../../elsewhere")
    with pytest.raises(PackagerError, match=r"src/out -> \.\./\.\./elsewhere"):
        look(repo)
    assert "src/out" not in paths(look(repo, exclude=["src/out"]))
    (repo.folder / "src/out").unlink()
    (repo.folder / "src/data").symlink_to("/data")
    assert "src/data" in paths(look(repo))


def test_a_part_of_the_repository_can_be_shipped(repo: Repo) -> None:
    """With subpath its folder is the root, and only its changes count."""
    repo.write("elsewhere.txt", "")
    content = look(repo, subpath="src", dirty="refuse")
    assert paths(content) == ["lib.py", "main.py"]
    assert (content.root, content.place) == (repo.folder / "src", None)
    assert look(repo, "src", subpath="src").place == "."
    with pytest.raises(PackagerError, match="there is no folder"):
        look(repo, subpath="missing")


def test_what_is_excluded_is_told(repo: Repo) -> None:
    """A glob leaves files out, also from what counts as a change."""
    repo.write("src/notes.txt", "")
    content = look(repo, exclude=["src/*.txt"], dirty="refuse")
    assert paths(content) == COMMITTED
    assert "src/notes.txt (excluded)" in content.left_out
    repo.write("src/lib.py", "X = 'private'\n")
    repo.write("src/main.py", "print(2)\n")
    for options in ({"exclude": ["src/lib.py"]}, {"exclude": ["lib.py"], "subpath": "src"}):
        diff = look(repo, **options).diff
        assert b"print(2)" in diff
        assert b"private" not in diff


def test_any_name_can_be_shipped_and_told(repo: Repo) -> None:
    """Names with line breaks, escapes and bytes that are no text are shipped as they are, and told safely."""
    names = ["-dash", "*glob?", "line\nbreak", "esc\x1b[2J", os.fsdecode(b"bad\xff"), "a b/ü"]
    for name in names:
        repo.write(name, name.encode(errors="replace").decode())
        repo.write(f"{name}.pyc", "")
    content = look(repo)
    assert set(paths(content)) == {*COMMITTED, *names}
    told = [*content.left_out, *content.facts["changes"]]
    assert all(text.isprintable() and text.encode() for text in told)
    assert "bad\\udcff.pyc (ignored)" in content.left_out


def test_a_repository_in_the_repository_is_left_out(repo: Repo) -> None:
    """A clone that is no submodule is not shipped, which is told."""
    repositories.make(repo.folder / "clone", {"inner": ""})
    content = look(repo)
    assert paths(content) == COMMITTED
    assert "clone/ (a repository of its own)" in content.left_out


def test_no_repository_is_a_problem(tmp_path: Path) -> None:
    """Outside of git the packager says so, and what can be done."""
    with pytest.raises(PackagerError, match="in no git repository") as refused:
        GitPackager({}).look(tmp_path, scratch=tmp_path)
    assert "pattern" in str(refused.value.hint)


def test_without_git_the_packager_says_so(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no program git, that is what is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagerError, match="no program 'git'"):
        look(repo)


def test_without_a_commit_only_the_tree_can_be_shipped(tmp_path: Path) -> None:
    """A repository without a commit ships its files, unless the commit is what is wanted."""
    repo = repositories.Repo(tmp_path / "young")
    repo.folder.mkdir()
    repo.git("init", "--quiet")
    repo.write("a.py", "")
    content = look(repo, ".")
    assert (paths(content), content.facts["commit"]) == (["a.py"], None)
    with pytest.raises(PackagerError, match="no commit yet"):
        look(repo, ".", dirty="ignore")


class TestSubmodules:
    """A repository in which another one is pinned."""

    @pytest.fixture
    def outer(self, repo: Repo, tmp_path: Path) -> Repo:
        """One with a submodule in `third/lib`."""
        repositories.make(tmp_path / "lib", {"lib.py": "V = 1\n"})
        repo.git("submodule", "--quiet", "add", str(tmp_path / "lib"), "third/lib")
        repo.commit()
        return repo

    @pytest.mark.parametrize("dirty", ["include", "ignore"])
    def test_its_files_are_shipped(self, outer: Repo, dirty: str) -> None:
        """A submodule's files lie where they lie in the tree: as they are, or as they are pinned."""
        outer.write("third/lib/lib.py", "V = 2\n")
        before = outer.everything()
        content = look(outer, dirty=dirty)
        assert text(content, "third/lib/lib.py") == ("V = 2\n" if dirty == "include" else "V = 1\n")
        assert outer.everything() == before

    def test_its_changes_count(self, outer: Repo) -> None:
        """A change in a submodule makes the whole dirty."""
        outer.write("third/lib/lib.py", "V = 2\n")
        with pytest.raises(PackagerError, match="third/lib"):
            look(outer, dirty="refuse")

    def test_it_can_be_left_out(self, outer: Repo) -> None:
        """submodules: false ships none of their files, and says so."""
        content = look(outer, submodules=False)
        assert paths(content) == [".gitignore", ".gitmodules", *COMMITTED[1:]]
        assert "third/lib (a submodule)" in content.left_out

    def test_one_that_is_not_there_is_a_problem(self, outer: Repo) -> None:
        """A submodule that was not initialised is named, with the command for it."""
        outer.git("submodule", "--quiet", "deinit", "--force", "third/lib")
        with pytest.raises(PackagerError, match="third/lib is not checked out") as refused:
            look(outer)
        assert "submodule update --init" in str(refused.value.hint)


def test_any_commit_can_be_shipped(repo: Repo) -> None:
    """`ref` ships what was committed there, whatever is checked out, changed or removed since."""
    first = repo.git("rev-parse", "HEAD")
    repo.git("tag", "v1")
    repo.write("src/lib.py", "X = 2\n")
    repo.write("src/other.py", "")
    (repo.folder / "src/main.py").unlink()
    second = repo.commit()
    repo.write("src/lib.py", "X = 3\n")
    before = repo.everything()
    for ref in ("v1", first, first[:10], "HEAD~1"):
        content = look(repo, ref=ref)
        assert paths(content) == COMMITTED
        assert text(content, "src/lib.py") == "X = 1\n"
        facts = {"ref": ref, "commit": first, "branch": None, "changed": 0, "new": 0, "changes": []}
        assert (content.facts, content.left_out, content.diff) == (facts, (), b"")
    assert look(repo, ref="v1").summary == f"commit {first[:12]} (v1)"
    assert look(repo, ref="main", subpath="src").facts["commit"] == second
    assert paths(look(repo, ref="main", subpath="src")) == ["lib.py", "other.py"]
    assert repo.everything() == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ref": "v7"}, "no commit 'v7'"),
        ({"ref": "0" * 40}, "no commit '000"),
        ({"ref": "main:src"}, "no commit"),  # a folder is none
        ({"ref": "main", "dirty": "refuse"}, "dirty: refuse does not apply"),
        ({"ref": "main", "subpath": "none"}, "no files in .*none at main"),
        ({"root": "../../none"}, "root: there is no folder"),
        ({"root": "../.."}, "in no git repository"),
    ],
)
def test_a_commit_or_repository_that_does_not_exist_is_refused(
    repo: Repo, options: dict[str, str], named: str
) -> None:
    """The option that is wrong is named."""
    with pytest.raises(PackagerError, match=named):
        look(repo, **options)


def test_another_repository_can_be_shipped(repo: Repo, tmp_path: Path) -> None:
    """`root` names a folder of it; the spec's folder is not in that content."""
    library = repositories.make(tmp_path / "lib", {"lib/a.py": "1", "b.py": ""})
    content = look(repo, root="../../lib/lib")
    assert paths(content) == ["b.py", "lib/a.py"]
    assert content.place is None
    assert content.facts["commit"] == library.git("rev-parse", "HEAD")
    assert content.facts["repository"] == str(library.folder)
    assert look(repo, root="../src").place == "experiments"
