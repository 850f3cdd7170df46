"""`exp close`: records whose writer has terminated, or is on another machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.formats import checked
from support.patience import eventually
from support.programs import Program
from support.workspace import until

from nemorun_cli import Experiment, close_record, find_record
from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.process import process_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.tracking import Record

PROGRAM = """
    Experiment("alice/vision/net", dash_root=root).run.start()
    print("open", flush=True)
    signal.pause()
    """


@pytest.fixture
def root(exp: Exp) -> Path:
    """A folder of records."""
    return exp.folder / ".dash"


@pytest.fixture
def programs(exp: Exp, root: Path) -> Iterator[Program]:
    """Programs that track in it."""
    started = Program(root, exp.folder)
    yield started
    started.end()


def elsewhere(root: Path, prefix: str, **facts: object) -> Record:
    """A record that another machine left open."""
    experiment = Experiment(prefix, dash_root=root)
    with experiment.run:
        experiment.metrics("train").log(loss=1.0)
    opening = next((root / prefix / ".record/openings").glob("*.jsonl"))
    first = json.loads(opening.read_text().partition("\n")[0])
    opening.write_text(json.dumps({**first, "host": "far", "boot": "other", **facts}) + "\n")
    return find_record(prefix, dash_root=root)


@pytest.mark.parametrize("facts", [{}, {"supervised": True, "exp_id": "other_1", "task": "train"}])
def test_a_record_of_a_lost_machine_is_closed(exp: Exp, root: Path, facts: dict[str, object]) -> None:
    """It is FAILED, or as the person says, with the author; its opening and rows stay as they are."""
    record = elsewhere(root, "a/b", **facts)
    assert record.status == "RUNNING"
    before = {path: path.read_bytes() for path in root.rglob("*.jsonl")}
    exp("close", "a/b", "--dash-root", root)
    closed = record.latest()
    assert (closed.status, closed.reason) == ("FAILED", "closed")
    assert "(exp close)" in (closed.message or "")
    assert {path: path.read_bytes() for path in before} == before
    assert "already finished (FAILED)" in exp("close", "a/b", "--dash-root", root).stderr
    assert closed.data().metrics("train").last("loss") == 1.0


def test_a_person_decides_how_it_ended(exp: Exp, root: Path) -> None:
    """--as takes the final statuses of records, and nothing else; the same in Python."""
    record = elsewhere(root, "a/b")
    assert "completed" in exp("close", "a/b", "--as", "lost", "--dash-root", root, code=2).stderr
    with pytest.raises(UsageError, match="status lost"):
        close_record(record, "lost", home=exp.home)
    assert close_record(record, "completed", home=exp.home).status == "COMPLETED"


def test_a_living_writer_is_not_closed(exp: Exp, root: Path, programs: Program) -> None:
    """A record that a process of this machine has open is refused with its pid, until that is killed."""
    program = programs.until(PROGRAM, "open")
    done = exp("close", "alice/vision/net", "--dash-root", root, code=4)
    assert f"kill {program.pid}" in done.stderr
    program.kill()
    program.wait()
    exp("close", "alice/vision/net", "--as", "cancelled", "--dash-root", root)
    assert find_record("alice/vision/net", dash_root=root).status == "CANCELLED"


def test_several_are_closed_only_if_asked(exp: Exp, root: Path) -> None:
    """A glob lists what it matches, and closes it with --yes."""
    records = [elsewhere(root, f"a/{name}") for name in "xy"]
    assert "2 unfinished records: a/x, a/y" in exp("close", "a/*", "--dash-root", root, code=2).stderr
    assert {record.latest().status for record in records} == {"RUNNING"}
    document = checked(exp("close", "a/*", "--yes", "--json", "--dash-root", root).json)
    assert [entry["status"] for entry in document["records"]] == ["FAILED", "FAILED"]
    assert "nothing to close" in exp("close", "a/*", "--dash-root", root).stderr


@pytest.mark.parametrize("command", ["close", "rm"])
def test_a_record_of_another_home_may_be_running(exp: Exp, root: Path, command: str) -> None:
    """What a supervisor of this machine opened is refused unless its home is this one, or gone with it."""
    here = {"host": process_info.host(), "boot": process_info.boot()}
    facts = {**here, "supervised": True, "exp_id": "other_1", "task": "train"}
    elsewhere(root, "a/b", **facts)
    refused = exp(command, "a/b", "--dash-root", root, code=4).stderr
    assert "NEMORUN_HOME=FOLDER" in refused
    missing = str(exp.folder / "missing")
    elsewhere(root, "a/c", **facts, home=missing)
    assert f"NEMORUN_HOME={missing}" in exp(command, "a/c", "--dash-root", root, code=4).stderr
    elsewhere(root, "a/d", **facts, home=missing, process_started=1.0)
    elsewhere(root, "a/e", **facts, home=str(exp.home))
    for prefix in ("a/d", "a/e"):
        exp("close", prefix, "--dash-root", root)
        assert find_record(prefix, dash_root=root).status == "FAILED"


def test_another_home_does_not_end_what_runs(workspace: ExpWorkspace) -> None:
    """A record of a running experiment is neither ended nor removed with any home, until it has ended."""
    tracks = {"inline": until("go"), "metrics": {"train": r"loss (?P<loss>\S+)"}}
    run = workspace.start({"one": tracks})
    eventually(lambda: run.status(observe=False).history.counts["RUNNING"] == 1)
    prefix = f"{run.status().to_json()['prefix']}/one"
    eventually((workspace.home.dash / prefix / ".record/openings").exists)
    options = ["--dash-root", workspace.home.dash]
    other = {"NEMORUN_HOME": str(workspace.folder / "other")}
    for command in ("close", "rm"):
        refused = workspace.exp(command, prefix, *options, env=other, code=4).stderr
        assert f"{run.id}, which is running" in refused
        assert f"NEMORUN_HOME={workspace.home.directory} exp cancel {run.id}" in refused
    (workspace.folder / "go").touch()
    run.wait(timeout=60)
    workspace.exp("rm", prefix, *options, env=other)


def test_a_record_of_a_running_experiment_is_its_supervisors(workspace: ExpWorkspace) -> None:
    """What a running experiment tracks is refused, and its supervisor records the end."""
    run = workspace.start({"one": until("go")})
    eventually(lambda: run.status(observe=False).history.counts["RUNNING"] == 1)
    prefix = run.status().to_json()["prefix"]
    assert prefix is not None
    assert f"exp cancel {run.id}" in workspace.exp("close", prefix, code=4).stderr
    (workspace.folder / "go").touch()
    run.wait(timeout=60)
    assert find_record(prefix).status == "COMPLETED"
