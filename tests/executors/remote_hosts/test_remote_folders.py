"""`exp gc --remote`: what is removed on a host, with a shell of this machine behind a program `ssh`."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.executors.remote_hosts import remote_folders
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.experiment.maintenance import collect
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.storage.paths import TrashFiles

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

SSH = """#!/bin/sh
[ ! -e "${0%/*}/down" ] || { echo "No route to host" >&2; exit 255; }
exec sh
"""
REASON = "a task of it may still run there; if none does, remove the folder"
IDENTITY = Identity(id="trashed_1700000005", name="trashed", directory="/trashed_1700000005")
OLD, BUSY = "tried_1700000000", "busy_1700000001"


@dataclass(frozen=True)
class Host:
    """A folder of a home on a host, and the command with a program `ssh` that points to it."""

    workspace: ExpWorkspace
    folder: Path
    bin: Path

    @property
    def mark(self) -> str:
        """What names the home there."""
        mark = remote_folders.mark_of(self.workspace.home)
        assert mark is not None
        return mark

    def experiment(self, name: str, *, mark: str | None = None, claim: bool = False) -> Path:
        """Lay out what an experiment has there."""
        attempt = self.folder / name.rpartition("_")[0] / name / "tasks" / "a" / "attempt-1"
        attempt.mkdir(parents=True)
        (attempt / "log").write_text("x" * 5000)
        if claim:
            (attempt / "claim").touch()
        marks = self.folder / remote_folders.MARKS / (mark or self.mark)
        marks.mkdir(parents=True, exist_ok=True)
        (marks / name).touch()
        return attempt.parents[2]

    def gc(self, *, is_dry: bool = False) -> tuple[dict[str, str], dict[str, str]]:
        """What is removed, by the kinds of the folders, and what stays, by the reasons."""
        home = self.workspace.home
        removed, kept = {}, {}
        for item in itertools.chain.from_iterable(collect.remote(home)):
            why = item.obstacle if is_dry else collect.remove(home, item)
            if why is None:
                removed[item.path.name] = str(item.kind)
            else:
                kept[item.path.name] = why
        return removed, kept


@pytest.fixture
def host(workspace: ExpWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which the home has a folder."""
    folder, program = tmp_path / "there" / "exp-0123456789ab", tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    folder.mkdir(parents=True)
    tunnel = Tunnel(host="login", job_dir=str(folder.parent), pre_command="never stored")
    for _ in range(2):
        remote_folders.note(workspace.home, tunnel, folder)
    (note,) = workspace.home.remote_folders.iterdir()
    assert "never stored" not in note.read_text()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return Host(workspace, folder, program.parent)


def test_only_what_is_deleted_is_removed(host: Host) -> None:
    """Not what exists, is in the trash, may run, or is behind a link; a dry run removes nothing."""
    home = host.workspace.home
    known, trashed = "known_1700000004", IDENTITY.id
    (home.roots[0] / "known" / known).mkdir(parents=True)
    in_trash = TrashFiles(home.trash / "removal").experiment(trashed)
    in_trash.mkdir(parents=True)
    spec = load.resolve(load.read({"name": "trashed", "tasks": {"a": {"inline": "x"}}}), IDENTITY)
    (in_trash / "resolved.json").write_text(json.dumps(spec.to_json()))
    deleted = host.experiment(OLD)
    (deleted / "closed").mkdir(mode=0o500)
    stays = [host.experiment(known), host.experiment(trashed), host.experiment(BUSY, claim=True)]
    stays.append(host.folder / "code" / "code_1700000002")
    stays[-1].mkdir(parents=True)
    for name in ("environments/0123456789abcdef", "code/digits-0123456789abcdef"):
        (host.folder / name).mkdir(parents=True)
    outside = host.folder.parent / "outside"
    outside.mkdir()
    link = host.experiment("linked_1700000003")
    link.rename(outside / "kept")
    link.symlink_to(outside / "kept")

    wanted = {
        OLD: "remote_experiment",
        "0123456789abcdef": "remote_environment",
        "digits-0123456789abcdef": "remote_code",
    }
    assert host.gc(is_dry=True) == (wanted, {BUSY: REASON})
    assert deleted.exists()
    removed, kept = host.gc()
    assert removed == wanted
    assert kept == {BUSY: REASON}
    assert not deleted.parent.exists()
    assert all(path.exists() for path in (*stays, outside / "kept"))
    marks = {path.name for path in (host.folder / remote_folders.MARKS / host.mark).iterdir()}
    assert marks == {known, trashed, BUSY, "linked_1700000003"}


def test_what_another_home_made_stays(host: Host) -> None:
    """Also what it may share with this one, and what has no note of a home."""
    foreign = host.experiment("foreign_1700000001", mark="f" * 32)
    unmarked = host.folder / "unmarked" / "unmarked_1700000001"
    shared = host.folder / "environments" / "0123456789abcdef"
    own = host.experiment(OLD)
    for path in (unmarked, shared):
        path.mkdir(parents=True)
    assert host.gc() == ({OLD: "remote_experiment"}, {})
    assert not own.exists()
    assert all(path.exists() for path in (foreign, unmarked, shared))


def test_a_host_that_does_not_answer_is_reported(host: Host) -> None:
    """Everything else is collected; so is a note that cannot be read."""
    host.experiment(OLD)
    (host.bin / "down").touch()
    (host.workspace.home.remote_folders / "bad.json").write_text('{"tunnel": {"host": "-oProxyCommand=x"}}')
    removed, kept = host.gc()
    assert removed == {}
    assert any("No route to host" in message for message in kept.values())
    assert any("is no note of a remote folder" in message for message in kept.values())


def test_a_submission_marks_its_experiment(tmp_path: Path) -> None:
    """By a file in the folder of its home, whatever characters the path has."""
    folder = tmp_path / "a b'"
    text = remote_folders.marking(folder, OLD, "0" * 32)
    for _ in range(2):
        assert subprocess.run(["sh", "-c", text], check=False).returncode == 0
    assert [path.name for path in (folder / remote_folders.MARKS / ("0" * 32)).iterdir()] == [OLD]
    assert remote_folders.marking(folder, OLD, None) == ":"
