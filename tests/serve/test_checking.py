"""`exp serve check`: what is wrong with the replicas of a server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from support import replica_sites
from support.formats import checked
from support.workspace import Exp

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.serve.store.checking import check
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of replicas with one record in it."""
    root = tmp_path / "collected"
    replica_sites.client(replica_sites.site(root))
    with Experiment(prefix="alice/p/x", dash_root=tmp_path / "local").run as experiment:
        experiment.metrics("loss").log(value=1.0)
        experiment.params.set(lr=1)
        (tmp_path / "model").write_bytes(b"weights")
        experiment.files("models").upload(str(tmp_path / "model"))
    local = tmp_path / "local/alice/p/x"
    # git may still write the uncommitted changes to the folder `environment`
    shutil.copytree(local, root / "alice/p/x", ignore=shutil.ignore_patterns("environment"))
    return root


def test_sound_replicas_have_no_problem(root: Path) -> None:
    """A record as its program wrote it is sound, also with a torn last line."""
    (opening,) = (root / "alice/p/x/.record/metrics/loss").iterdir()
    with opening.open("ab") as stream:
        stream.write(b'{"_ts"')
    report = check(root)
    assert report.problems == []
    assert (report.exit_code, report.records) == (0, 1)
    assert report.size == sum(file.stat().st_size for file in root.rglob(".record/**/*") if file.is_file())


def test_each_kind_of_damage_is_found(root: Path) -> None:
    """A changed content, a line that is no row, foreign files, links and shared files have each a remedy."""
    record = root / "alice/p/x/.record"
    (content,) = record.glob("blobs/*/*")
    content.write_bytes(b"weighty")
    (rows,) = (record / "metrics/loss").iterdir()
    rows.write_bytes(rows.read_bytes() + b"\0\0\0\n")
    rows.chmod(0o666)
    (record / "metrics/loss/notes.txt").write_text("mine")
    (root / "alice/p/readme").write_text("mine")
    (record / "tracks").symlink_to("/etc")
    os.mkfifo(record / "params/0001-x.jsonl")
    report = check(root)
    assert report.exit_code == 7
    assert {(problem.kind, problem.path.rpartition("/")[2]) for problem in report.problems} == {
        ("content", hashlib.sha256(b"weights").hexdigest()),
        ("row", rows.name),
        ("shared", rows.name),
        ("foreign", "notes.txt"),
        ("foreign", "readme"),
        ("link", "tracks"),
        ("foreign", "0001-x.jsonl"),
    }
    assert all(problem.remedy for problem in report.problems)
    (damaged,) = [problem for problem in report.problems if problem.kind == "content"]
    assert f"rm {content}" in damaged.remedy
    assert "exp sync alice/p/x --url ADDRESS" in damaged.remedy
    assert json.dumps(checked(report.to_json()))


def test_a_missing_content_is_damage_once_its_opening_has_ended(root: Path, tmp_path: Path) -> None:
    """What rows name and what is not there is a note while more may arrive, and then a problem; once each."""
    record = root / "alice/p/x/.record"
    (content,) = record.glob("blobs/*/*")
    content.unlink()
    (index,) = (record / "files").iterdir()
    index.write_bytes(index.read_bytes() * 2)
    (problem,) = check(root).problems
    assert (problem.kind, root / problem.path) == ("missing", content)
    assert "on its machine: exp sync alice/p/x --url ADDRESS --dash-root FOLDER" in problem.remedy
    (opening,) = (record / "openings").iterdir()
    opening.write_bytes(opening.read_bytes().splitlines(keepends=True)[0])
    report = check(root)
    assert (report.exit_code, report.problems) == (0, [])
    assert [(note.kind, note.path) for note in report.notes] == [("missing", problem.path)]
    checked(report.to_json())
    said = Exp(home=tmp_path / "home", folder=tmp_path)("serve", "check", "--root", root)
    assert "no problems, 1 not here yet, or lost" in said.stderr


@pytest.mark.parametrize(
    "command",
    [["rm", "{}", "--force"], ["tag", "{}", "+x"], ["note", "{}", "text"], ["close", "{}"]],
    ids=lambda command: command[0],
)
def test_a_record_that_a_server_collects_is_only_read(root: Path, tmp_path: Path, command: list[str]) -> None:
    """Nothing is removed from, or added to, the copy of a record."""
    opening = next((root / "alice/p/x/.record/openings").iterdir())
    opening.write_bytes(opening.read_bytes().splitlines(keepends=True)[0])
    before = sorted(root.rglob("*"))
    refused = Exp(home=tmp_path / "home", folder=tmp_path)(
        *(word.format("alice/p/x") for word in command), "--dash-root", root, code=2
    )
    assert "alice/p/x is a server's copy" in refused.stderr
    assert "hint: do this on the machine that wrote it" in refused.stderr
    assert sorted(root.rglob("*")) == before


def test_a_folder_that_others_could_change_is_refused(root: Path, tmp_path: Path) -> None:
    """A check, like the server, uses only a folder in which other users cannot write."""
    root.chmod(0o770)
    with pytest.raises(UsageError, match="its group may change"):
        check(root)
    with pytest.raises(UsageError, match="its group may change"):
        replica_sites.client(replica_sites.site(root))
    root.chmod(0o777)
    with pytest.raises(UsageError, match="everybody may write"):
        check(root)
    with pytest.raises(NotFoundError):
        check(tmp_path / "absent")
