from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.tracking.access.reader import environment, record
from nemorun_cli.tracking.process import git_state, process_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.programs import Program


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit and a name with a space in it."""
    folder = tmp_path / "my code"
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text("lr = 0.1\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "one")
    return folder


def test_commit_is_what_git_says(repository: Path) -> None:
    """The commit is found loose, packed, detached, in a linked working tree and from a folder below."""
    commit = _git(repository, "rev-parse", "HEAD")
    expected = {"folder": str(repository), "commit": commit, "branch": "main"}
    (repository / "deep/er").mkdir(parents=True)
    assert git_state.commit(str(repository / "deep/er")) == expected
    _git(repository, "pack-refs", "--all")
    assert git_state.commit(str(repository)) == expected
    _git(repository, "worktree", "add", "-q", "-b", "side", "../linked")
    assert git_state.commit(str(repository.parent / "linked")) == {
        "folder": str(repository.parent / "linked"),
        "commit": commit,
        "branch": "side",
    }
    _git(repository, "checkout", "-q", "--detach")
    assert git_state.commit(str(repository)) == {**expected, "branch": None}


def test_outside_of_git_there_is_no_commit(tmp_path: Path) -> None:
    """No repository, an empty one and a broken one are told as no commit, and raise nothing."""
    assert git_state.commit(None) is None
    (tmp_path / ".git").mkdir()
    assert git_state.commit(str(tmp_path)) is None
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/../../../../etc/passwd")
    found = git_state.commit(str(tmp_path))
    assert found is not None
    assert found["commit"] is None


def test_uncommitted_changes_are_kept(
    program: Program, repository: Path, root: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """A run keeps the commit it was started from and what was changed since; it does not wait for that."""
    (repository / "train.py").write_text("lr = 0.2\n")
    program.run(f"os.chdir({str(repository)!r})\nwith Experiment('a', dash_root=root).run: pass")
    told = record(root, "a")
    assert told is not None
    opening = told.openings[0]
    assert opening.facts["git"]["commit"] == _git(repository, "rev-parse", "HEAD")
    eventually(lambda: environment(root, "a", opening.id)[1] is not None)
    diff = environment(root, "a", opening.id)[1]
    assert diff is not None
    assert "+lr = 0.2" in diff


def test_changes_that_are_too_many_are_not_kept_in_part(
    repository: Path, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """A diff past its limit leaves nothing: half of one would mislead."""
    (repository / "train.py").write_text("x" * 60 + "\n" + "y = 1\n" * (4 << 20))
    target = tmp_path / "out.diff"
    git_state.take_diff(str(repository), str(target))
    part = Path(f"{target}.part")
    seen = False

    def is_over() -> bool:
        nonlocal seen
        seen = seen or part.exists()
        return seen and not part.exists()

    eventually(is_over)
    assert not target.exists()


def test_changes_to_come_can_be_seen_at_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start on there is a file that shows that changes are still to come, until they have come."""
    programs, gate = tmp_path / "programs", tmp_path / "gate"
    programs.mkdir()
    os.mkfifo(gate)
    (programs / "mktemp").write_text(f"#!/bin/sh\nread -r _ <{gate}\n")  # no folder can be made
    (programs / "mktemp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    target = tmp_path / "out.diff"
    git_state.take_diff(str(repository), str(target))
    part = Path(f"{target}.part")
    assert part.exists()
    gate.write_text("go\n")
    eventually(lambda: not part.exists())


def test_programs_that_the_repository_names_are_not_run(
    repository: Path, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Filters, hooks, external diffs and monitors of the repository's configuration stay unused."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    (repository / ".git/hooks/post-index-change").symlink_to(trap)
    for name in ("diff.external", "core.fsmonitor", "diff.py.textconv", "filter.py.clean"):
        _git(repository, "config", name, str(trap))
    _git(repository, "config", "core.eol", f"lf\ncore.fsmonitor {trap}")
    _git(repository, "config", "core.fileMode", "false")
    (repository / "train.py").chmod(0o755)
    (repository / ".gitattributes").write_text("*.py diff=py filter=py\n")
    (repository / "train.py").write_text("lr = 0.2\n")
    target = tmp_path / "out.diff"
    git_state.take_diff(str(repository), str(target))
    eventually(target.exists)
    assert "+lr = 0.2" in target.read_text()
    assert "mode" not in target.read_text()
    assert not (tmp_path / "sprung").exists()


def test_packages_are_those_that_can_be_imported() -> None:
    """Names and versions agree with what importlib.metadata reads at leisure."""
    found = {
        re.sub(r"[-_.]+", "_", name.lower()): version for name, version in process_info.packages().items()
    }
    for distribution in metadata.distributions():
        name = re.sub(
            r"[-_.]+", "_", distribution.metadata["Name"].lower()
        )  # some folders of packages have dots
        assert found[name] == distribution.version


def test_facts_tell_who_wrote(program: Program, root: Path) -> None:
    """Process, machine, command and Python are kept with the opening."""
    program.run("with Experiment('a', dash_root=root).run: pass")
    told = record(root, "a")
    assert told is not None
    kept = told.openings[0].facts
    assert kept["host"] == os.uname().nodename
    assert kept["python"] == sys.version.split()[0]
    assert kept["argv"][0] == sys.executable
    assert kept["argv"][-1] == str(root)
    assert (kept["git"], kept["rank"], kept["exp_id"]) == (None, None, None)
    packages, _ = environment(root, "a", told.openings[0].id)
    assert packages["pytest"] == metadata.version("pytest")


def test_endless_command_line_is_cut() -> None:
    """A command line is kept up to a limit, not copied into every opening whole."""
    text = (
        "import sys\nfrom nemorun_cli.tracking.process import process_info\n"
        "print(sum(map(len, process_info._argv())))"
    )
    command = [sys.executable, "-c", text, *["x" * 10_000] * 20]
    assert (
        int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        <= process_info.MAX_ARGV
    )
