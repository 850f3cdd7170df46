"""An experiment that this home did not create: shown by its files, and nobody is asked about it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.access_log import accesses
from support.elsewhere import events_of, pretend

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.run import find
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

    from nemorun_cli.experiment.run import Run

SPEC = """
name: packed
tasks:
  one: {inline: 'true', secrets: {TOKEN: {file: secret.txt}}}
  two: {inline: 'true'}
  three: {inline: 'true'}
"""
READING = (
    "list", "status packed", "status packed --json", "show packed", "logs packed", "why packed one",
    "graph packed", "events packed", "metrics packed", "params packed", "files packed", "records",
    "compare packed",
    "diff packed packed", "fsck packed", "resume packed --dry-run", "rerun packed --dry-run",
)  # fmt: skip
NOT_OBSERVED = "not observed: it was not created by this home (--observe)"


@pytest.fixture(scope="module")
def made(shared: Exp) -> Path:
    """A home with an experiment that seems to run on a cluster and in Docker."""
    (shared.folder / "secret.txt").write_text("hunter2hunter2")
    shared("run", shared.spec(SPEC), "-q")
    pretend(find("packed", home=Home(shared.home)).files, one="cluster", two="box")
    return shared.home


@pytest.fixture
def packed(exp: Exp, made: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Such an experiment in a home that did not create it."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    shutil.copytree(made, exp.home, symlinks=True, dirs_exist_ok=True)
    return find("packed", home=Home(exp.home))


def test_reading_commands_ask_nobody_and_read_no_secret(exp: Exp, packed: Run) -> None:
    """They connect to nothing, start no program, read no secret's file, and write nothing into the ledger."""
    before = packed.files.ledger.read_bytes()
    for command in READING:
        with accesses() as log:
            done = exp(*command.split(), code=None)
        assert done.code in {0, 1, 2, 9}, f"{command}: {done}"
        assert (log.connections, log.programs) == ([], []), command
        assert not any(path.endswith("/secret.txt") for path in log.files), command
    assert packed.files.ledger.read_bytes() == before


def test_doctor_does_not_connect_to_its_hosts(exp: Exp, packed: Run) -> None:
    """Their executors are named, with how they can be checked."""
    with accesses() as log:
        done = exp("doctor", packed.id, "--json")
    assert log.connections == []
    assert not any("ssh" in program for program in log.programs)
    unasked = {check["subject"] for check in done.json["checks"] if "not checked" in check["message"]}
    assert unasked == {"executor box", "executor cluster"}


def test_state_that_is_not_observed_is_unknown(exp: Exp, packed: Run) -> None:
    """Its tasks are UNKNOWN with the reason and the remedy; those of this machine are observed as always."""
    document = exp("status", "packed", "--json").json
    tasks = {task["id"]: task for task in document["tasks"]}
    assert document["not_observed"] == NOT_OBSERVED
    assert {name: task["status"] for name, task in tasks.items()} == {
        "one": "UNKNOWN",
        "two": "UNKNOWN",
        "three": "SUCCEEDED",
    }
    assert (tasks["one"]["message"], tasks["one"]["evidence"]) == (NOT_OBSERVED, "the ledger")
    assert NOT_OBSERVED in exp("status", "packed").stdout
    listed = exp("list", "--json")
    assert listed.json["experiments"][0]["not_observed"] == NOT_OBSERVED
    assert f"{packed.id}: {NOT_OBSERVED}" in listed.stderr


def test_what_needs_the_backends_says_so(exp: Exp, packed: Run) -> None:
    """Waiting and cancelling are refused with the remedy; giving up on it needs nobody's answer."""
    for command in ("wait", "attach", "cancel"):
        with accesses() as log:
            refused = exp(command, "packed", code=2).stderr
        assert NOT_OBSERVED in refused
        assert "--observe" in refused.partition("hint:")[2]
        assert (log.connections, log.programs) == ([], [])
    with pytest.raises(UsageError, match="not observed"):
        packed.cancel()
    assert "cancel_requested" not in {event["event"] for event in events_of(packed.files)}
    with accesses() as log:
        exp("cancel", "packed", "--abandon")
    assert (log.connections, log.programs) == ([], [])
    assert packed.status().to_json()["counts"]["CANCELLED"] == 2


def test_observe_asks_about_experiments_of_others(exp: Exp, packed: Run) -> None:
    """With --observe, the cluster and Docker are asked, and the answer, or why there is none, is shown."""
    with accesses() as log:
        document = exp("status", "packed", "--observe", "--json").json
    assert any("ssh" in program for program in log.programs)
    assert any("docker.sock" in connection for connection in log.connections)
    assert document["not_observed"] is None
    assert all(NOT_OBSERVED not in (task["message"] or "") for task in document["tasks"])
    ssh = next(program for program in log.programs if "ssh" in program)
    assert "ForwardAgent=no" in ssh
    assert packed.status().not_observed


def test_experiment_that_this_home_created_is_asked_about(exp: Exp, packed: Run) -> None:
    """With this home's mark, of the same executors, it is observed, also after the home was moved."""
    creation_mark.write(packed.home, packed.files, packed.spec())
    assert packed.status(observe=True).not_observed is None
    moved = exp.home.with_name("moved home")
    exp.home.rename(moved)
    run = find("packed", home=Home(moved))
    assert creation_mark.is_own(run.home, run.files, run.spec(), None)
    moved.rename(exp.home)


def test_copy_is_no_experiment_of_this_home(exp: Exp, packed: Run, tmp_path: Path) -> None:
    """A copy under another id, or in another home, has no valid mark; nor has one with another host."""
    creation_mark.write(packed.home, packed.files, packed.spec())
    copy = packed.directory.with_name("packed_1700000000")
    shutil.copytree(packed.directory, copy)
    other = Home(tmp_path / "other")
    shutil.copytree(exp.home / "experiments", other.experiments)
    for which, home in (("packed_1700000000", packed.home), (packed.id, other)):
        run = find(which, home=home)
        assert run.status().not_observed, which
    resolved = packed.files.resolved
    resolved.write_text(resolved.read_text().replace("127.0.0.1", "127.0.0.2"))
    assert packed.status().not_observed


def test_resume_makes_it_an_experiment_of_this_home(exp: Exp, packed: Run) -> None:
    """Resuming it is the user's decision to trust it; a dry run decides nothing."""
    exp("resume", "packed", "--dry-run", code=None)
    assert not creation_mark.is_own(packed.home, packed.files, packed.spec(), packed.status().holder)
    exp("cancel", "packed", "--abandon")
    exp("resume", "packed", "-q", code=None)
    assert creation_mark.is_own(packed.home, packed.files, packed.spec(), None)
