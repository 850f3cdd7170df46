"""The git packager on repositories from elsewhere: nothing that they name is run, fetched or followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import repositories
from support.repositories import Repo

from nemorun_cli.packagers.content import PackagerError
from nemorun_cli.packagers.git import GitPackager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.packagers.content import Content

HOOKS = ("post-index-change", "fsmonitor-watchman", "post-checkout", "reference-transaction", "pre-auto-gc")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder, whose .gitconfig git reads."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return folder


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    """Programs that leave a witness when they run."""
    (tmp_path / "ran").mkdir()
    return Trap(tmp_path / "ran")


class Trap:
    """Programs that leave a file with their name when they run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def program(self, name: str) -> str:
        """The path of a program; it copies its input, so that git is content with it as a filter."""
        path = self.folder.parent / f"program-{name}"
        path.write_text(f'#!/bin/sh\ntouch "{self.folder}/{name}"\ncat\n', encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    @property
    def sprung(self) -> list[str]:
        """The names of the programs that ran."""
        return sorted(path.name for path in self.folder.iterdir())

    def settings(self, where: str) -> dict[str, str]:
        """Settings that name a program, by key; `where` tells them apart."""
        keys = (
            *("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor"),
            *("core.askPass", "core.alternateRefsCommand", "credential.helper", "diff.external"),
            *("diff.p.command", "diff.p.textconv", "interactive.diffFilter", "pager.status"),
            *("filter.p.clean", "filter.p.smudge", "filter.p.process", "merge.p.driver"),
            *("remote.origin.uploadpack", "uploadpack.packObjectsHook", "gpg.program"),
            *("hook.p.command", "submodule.third.update"),
        )
        named = {key: self.program(f"{where}-{key}") for key in keys}
        aliases = {f"alias.{name}": f"!{self.program(f'{where}-{name}')}" for name in ("status", "diff")}
        return {**named, **aliases, "hook.p.event": "post-index-change", "filter.p.required": "true"}


def look(folder: Path, **options: Any) -> Content:
    """What the packager finds for a spec in this folder."""
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return GitPackager(options).look(folder, scratch=scratch)


def shipped(content: Content) -> dict[str, str]:
    """The texts of a content, by path."""
    return {entry.path: entry.source.read_text(encoding="utf-8") for entry in content.entries if entry.source}


def configuration(settings: Mapping[str, str]) -> str:
    """A file of settings for git: one process of git for each would take most of the time of these tests."""
    lines = []
    for key, value in settings.items():
        section, _, rest = key.partition(".")
        middle, _, name = rest.rpartition(".")
        lines += [f'[{section} "{middle}"]' if middle else f"[{section}]", f"\t{name} = {value}"]
    return "\n".join([*lines, ""])


def arm(repo: Repo, trap: Trap, where: str) -> None:
    """Make a repository hostile: by its configuration, what that includes, and its hooks."""
    git_dir = Path(repo.git("rev-parse", "--absolute-git-dir"))
    settings = trap.settings(f"{where}-included")
    included = repo.write(f"../included-{where}", configuration(settings))
    own = {
        **trap.settings(where),
        "include.path": str(included),
        f"includeIf.gitdir:{git_dir}/.path": str(included),
        "core.hooksPath": str(git_dir / "hooks"),
    }
    with (git_dir / "config").open("a", encoding="utf-8") as stream:
        stream.write(configuration(own))
    read = {line.partition("=")[2] for line in repo.git("config", "--list").splitlines()}
    assert {*own.values(), *settings.values()} <= read
    (git_dir / "hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        (git_dir / "hooks" / name).symlink_to(trap.program(f"{where}-{name}"))


@pytest.mark.parametrize("dirty", ["include", "refuse", "ignore"])
def test_no_program_of_a_repository_is_run(tmp_path: Path, user: Path, trap: Trap, dirty: str) -> None:
    """No filter, hook, monitor or program for diffs of a repository, its submodule or its worktree is run."""
    files = {".gitattributes": "* filter=p diff=p merge=p\n", "a.txt": "1\n", "b.txt": "1\n"}
    repositories.make(tmp_path / "lib", files)
    repo = repositories.make(tmp_path / "repo", files)
    repo.git("submodule", "--quiet", "add", str(tmp_path / "lib"), "third")
    repo.commit()
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked")
    repo.git("config", "extensions.worktreeConfig", "true")
    linked.git("config", "--worktree", "filter.p.clean", trap.program("worktree-clean"))
    linked.git("config", "--worktree", "core.fsmonitor", trap.program("worktree-monitor"))
    (user / ".gitconfig").write_text("[core]\n\thooksPath = hooks\n[diff]\n\tsubmodule = diff\n", "utf-8")
    for folder in (repo, linked):
        folder.write("hooks/post-index-change", Path(trap.program("relative-hook")).read_text("utf-8")).chmod(
            0o755
        )
        folder.write("a.txt", "2\n")
    repo.write("third/a.txt", "2\n")
    for place in (repo.folder, repo.folder / "third", linked.folder):
        os.utime(place / "b.txt", (1, 1))  # git has to compare its content
    arm(repo, trap, "outer")
    arm(Repo(repo.folder / "third"), trap, "inner")

    if dirty == "refuse":
        with pytest.raises(PackagerError, match=r"a\.txt, third") as refused:
            look(repo.folder, dirty=dirty)
        assert "are not run: p" in str(refused.value.hint)
    else:
        changed = "2\n" if dirty == "include" else "1\n"
        content = look(repo.folder, dirty=dirty)
        assert [shipped(content)[path] for path in ("a.txt", "third/a.txt", "b.txt")] == [
            changed,
            changed,
            "1\n",
        ]
        assert (b"b/third/a.txt\n@@ -1 +1 @@\n-1\n+2\n" in content.diff) == (dirty == "include")
        linked_options = {"dirty": dirty, "submodules": False}
        assert shipped(look(linked.folder, **linked_options))["a.txt"] == changed
    assert trap.sprung == []


def test_nothing_is_fetched(tmp_path: Path, user: Path, trap: Trap) -> None:
    """Objects that a partial clone left on its server are not fetched, which is a problem with a remedy."""
    del user
    source = repositories.make(tmp_path / "source", {"a.txt": "1\n", "b.txt": "1\n"})
    source.git("config", "uploadpack.allowFilter", "true")
    arguments = ("--quiet", "--filter=tree:0", "--no-checkout", f"file://{source.folder}")
    source.git("clone", *arguments, str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    clone.write("a.txt", "2\n")
    arm(clone, trap, "clone")
    addresses = ("ssh://git@localhost/x", f"ext::{trap.program('ext')} %S", f"file://{source.folder}")
    for address in addresses:
        clone.git("config", "remote.origin.url", address)
        for dirty in ("include", "ignore"):
            with pytest.raises(PackagerError) as failed:
                look(clone.folder, dirty=dirty)
            assert "the clone is partial" in str(failed.value.hint)
    assert trap.sprung == []


class TestFilters:
    """A filter `p`, of which the user's form turns text into upper case for the commit."""

    @pytest.fixture
    def repo(self, tmp_path: Path, user: Path) -> Repo:
        """A repository with a file of the filter, which was committed without it."""
        text = '[filter "p"]\n\tclean = tr a-z A-Z\n\tsmudge = tr A-Z a-z\n\trequired\n'
        (user / ".gitconfig").write_text(text, encoding="utf-8")
        repo = repositories.make(tmp_path / "repo", {"a.txt": "HELLO\n"})
        repo.write(".gitattributes", "*.txt filter=p\n")
        repo.git("add", ".gitattributes")
        repo.git("commit", "--quiet", "--message", "attributes")
        repo.write("a.txt", "hello\n")
        return repo

    def test_the_users_own_are_run(self, repo: Repo) -> None:
        """A file is compared and checked out with the filter of the user's configuration."""
        assert look(repo.folder, dirty="refuse").facts["changed"] == 0
        assert shipped(look(repo.folder, dirty="ignore"))["a.txt"] == "hello\n"

    @pytest.mark.parametrize("scope", [(), ("--worktree",), ("--file", "included")])
    def test_the_repositorys_never_win(self, repo: Repo, trap: Trap, scope: tuple[str, ...]) -> None:
        """A repository cannot replace or switch off a filter of the user."""
        repo.git("config", "extensions.worktreeConfig", "true")
        for key in ("clean", "smudge", "process"):
            repo.git("config", *scope, f"filter.p.{key}", trap.program(key))
        repo.git("config", "include.path", "../included")
        repo.git("config", *scope, "filter.p.required", "false")
        assert look(repo.folder, exclude=["included"], dirty="refuse").facts["changed"] == 0
        assert shipped(look(repo.folder, dirty="ignore"))["a.txt"] == "hello\n"
        assert trap.sprung == []

    def test_a_condition_of_the_users_configuration_holds(self, repo: Repo, user: Path) -> None:
        """What the user's configuration includes only for this repository counts."""
        (user / ".gitconfig").rename(user / "filters")
        text = f'[includeIf "gitdir:{repo.folder}/"]\n\tpath = ~/filters\n'
        (user / ".gitconfig").write_text(text, encoding="utf-8")
        assert shipped(look(repo.folder, dirty="ignore"))["a.txt"] == "hello\n"


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0f' * 32}\nsize 12345\n"


@pytest.mark.parametrize("dirty", ["include", "ignore"])
def test_a_pointer_of_lfs_is_a_problem(tmp_path: Path, dirty: str) -> None:
    """A pointer is shipped only if the spec allows it; what merely quotes one is an ordinary file."""
    files = {"big.bin": POINTER, "about.md": f"# Pointers\n\n{POINTER}", "windows.bin": POINTER}
    repo = repositories.make(tmp_path / "repo", files)
    with pytest.raises(PackagerError) as refused:
        look(repo.folder, dirty=dirty)
    assert refused.value.message.endswith("files: big.bin, windows.bin")
    assert "lfs: pointers" in str(refused.value.hint)
    assert shipped(look(repo.folder, dirty=dirty, lfs="pointers"))["big.bin"] == POINTER
    assert "big.bin" not in shipped(look(repo.folder, dirty=dirty, exclude=["*.bin"]))


def test_a_filter_of_the_user_gives_the_files_of_pointers(tmp_path: Path, user: Path) -> None:
    """With a filter like that of git-lfs in the user's configuration, pointers become files."""
    (user / "store").write_text("large\n", encoding="utf-8")
    (user / "pointer").write_text(POINTER, encoding="utf-8")
    text = f'[filter "lfs"]\n\tclean = cat {user}/pointer\n\tsmudge = cat {user}/store\n\trequired\n'
    (user / ".gitconfig").write_text(text, encoding="utf-8")
    repo = repositories.make(tmp_path / "repo", {".gitattributes": "*.bin filter=lfs\n"})
    repo.write("big.bin", "large\n")
    repo.git("-c", f"filter.lfs.clean=cat {user}/pointer", "add", "big.bin")
    repo.git("commit", "--quiet", "--message", "large")
    os.utime(repo.folder / "big.bin")  # git has to compare its content
    for dirty in ("refuse", "ignore"):
        assert shipped(look(repo.folder, dirty=dirty))["big.bin"] == "large\n"


class TestWhatIsFollowed:
    """Settings and links that lead out of the repository."""

    @pytest.fixture
    def repo(self, tmp_path: Path) -> Repo:
        """A repository next to a folder with something private."""
        repositories.make(tmp_path / "private", {"d/key": "secret\n"})
        return repositories.make(tmp_path / "repo", {".gitignore": "*.log\n", "d/key": "public\n"})

    def test_another_working_tree_is_not(self, repo: Repo, tmp_path: Path) -> None:
        """core.worktree of a repository does not lead elsewhere."""
        repo.git("config", "core.worktree", str(tmp_path / "private"))
        assert shipped(look(repo.folder))["d/key"] == "public\n"

    def test_a_folder_that_is_a_link_is_not(self, repo: Repo, tmp_path: Path) -> None:
        """A tracked file behind a link is deleted, as for git, even if the link is ignored."""
        (repo.folder / "d").rename(repo.folder / "kept")
        (repo.folder / "d").symlink_to(tmp_path / "private/d")
        (repo.folder / ".git/info/exclude").write_text("/d\n", encoding="utf-8")
        assert shipped(look(repo.folder)) == {".gitignore": "*.log\n", "kept/key": "public\n"}

    def test_ignored_files_of_its_own_are(self, repo: Repo, tmp_path: Path) -> None:
        """A list of ignored files that the configuration names counts, unless reading it could hang."""
        repo.write("notes.tmp", "")
        repo.git("config", "core.excludesFile", ".git/ignored")
        (repo.folder / ".git/ignored").write_text("*.tmp\n", encoding="utf-8")
        assert look(repo.folder).facts["new"] == 0
        os.mkfifo(tmp_path / "fifo")
        repo.git("config", "core.excludesFile", str(tmp_path / "fifo"))
        assert look(repo.folder).facts["new"] == 1

    def test_a_repository_in_tracked_files_is_not(self, repo: Repo, trap: Trap) -> None:
        """A folder of tracked files that looks like a bare repository is none."""
        inner = repo.folder / "inner"
        repo.git("init", "--quiet", "--bare", str(inner))
        Repo(inner).git("config", "core.fsmonitor", trap.program("monitor"))
        Repo(inner).git("config", "core.worktree", str(repo.folder))
        with pytest.raises(PackagerError, match="in no git repository"):
            look(inner)
        assert trap.sprung == []


def test_settings_of_comparison_are_those_of_the_repository(tmp_path: Path) -> None:
    """Line ends, file modes, sparse checkouts, split indexes and SHA-256 are as git sees them."""
    repo = Repo(tmp_path / "repo")
    repo.folder.mkdir()
    repo.git("init", "--quiet", "--object-format=sha256")
    for path in ("a.sh", "in/b.txt", "out/c.txt"):
        repo.write(path, "x\n")
    repo.commit()
    repo.git("sparse-checkout", "set", "--cone", "in")
    repo.git("config", "core.splitIndex", "true")
    repo.git("config", "core.autocrlf", "true")
    repo.git("config", "core.fileMode", "false")
    (repo.folder / "in/b.txt").write_bytes(b"x\r\n")
    repo.git("add", "in/b.txt")
    repo.git("update-index", "--split-index")
    (repo.folder / "a.sh").chmod(0o755)
    os.utime(repo.folder / "in/b.txt")  # git has to compare its content
    content = look(repo.folder, dirty="refuse")
    assert [entry.path for entry in content.entries] == ["a.sh", "in/b.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a repository of another user")
def test_a_repository_of_another_user_is_refused(tmp_path: Path, user: Path) -> None:
    """What git refuses because of its owner is a problem with git's remedy, which works."""
    repo = repositories.make(tmp_path / "repo", {"a.txt": "1\n"})
    for path in (repo.folder, repo.folder / ".git"):
        os.chown(path, 61001, 61001)
    with pytest.raises(PackagerError, match="dubious ownership") as refused:
        look(repo.folder)
    assert "safe.directory" in str(refused.value.hint)
    (user / ".gitconfig").write_text(f"[safe]\n\tdirectory = {repo.folder}\n", encoding="utf-8")
    assert list(shipped(look(repo.folder))) == ["a.txt"]
