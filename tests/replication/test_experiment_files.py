"""What of an experiment is sent to its server, and that every command reads the copy there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.replicas import replicate
from support.workspace import Exp

from nemorun_cli.replication import experiment_files
from nemorun_cli.replication.experiment_files import SentParts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.storage.paths import Home

URL = "http://127.0.0.1:9"
SPEC = """
name: shipped
env: {GENERAL: value-of-general, LEVEL: level-nine}
params: {level: level-nine}
secrets: {TOKEN: {env: TOKEN_OF_TEST}}
tasks:
  first:
    inline: |
      echo "printed-by-first $TOKEN"
      echo 'score=7' >>"$EXP_OUTPUT"
    env: {OWN: value-of-own}
  uses:
    inline: echo '${{ env.GENERAL }}'
    dependencies: [first]
  fails: {script: fails.sh, args: ['${{ env.LEVEL }}']}
  sweep:
    matrix: {x: [1, 2]}
    inline: ':'
    env: {MEMBER: 'value-of-${{ matrix.x }}'}
"""
VALUES = (b"value-of-", b"secret-of-test")
ALL = SentParts(url=URL, logs=True, spec=True, code=True)


@pytest.fixture(scope="module")
def original(shared: Exp) -> Path:
    """An experiment of which one task fails, with variables, a secret, a script and a sweep."""
    shared.spec("echo broken\nexit 3\n", name="fails.sh")
    spec = shared.spec(SPEC)
    shared("run", spec, code=1, env={"TOKEN_OF_TEST": "secret-of-test"})
    return Path(shared.status()["directory"])


@pytest.fixture
def replica(original: Path, tmp_path: Path) -> Exp:
    """The command at a server's copy of it, without logs."""
    home = replicate(original, tmp_path / "root", SentParts(url=URL))
    return Exp(home=home.directory, folder=tmp_path)


def _bytes(home: Home) -> Iterator[bytes]:
    return (path.read_bytes() for path in home.directory.rglob("*") if path.is_file())


def test_values_of_variables_are_nowhere_on_the_server(original: Path, tmp_path: Path) -> None:
    """Without `tracking.spec` no file that is sent has a value of `env`, or of a secret."""
    home = replicate(original, tmp_path, SentParts(url=URL, code=True))
    assert not [value for data in _bytes(home) for value in VALUES if value in data]


def test_a_secret_is_nowhere_on_the_server_in_any_setting(original: Path, tmp_path: Path) -> None:
    """Only the log of a task that printed a secret has it, which `tracking.logs` alone sends."""
    home = replicate(original, tmp_path, replace(ALL, logs=False))
    assert not [data for data in _bytes(home) if b"secret-of-test" in data]


def test_a_masked_spec_keeps_names_and_names_what_is_masked(original: Path, tmp_path: Path) -> None:
    """Values of `env` are `***`, also where a command has one; a value that a param has, too, stays there."""
    home = replicate(original, tmp_path, SentParts(url=URL))
    (path,) = home.directory.rglob("resolved.json")
    document = json.loads(path.read_bytes())
    tasks = {task["id"]: task for task in document["tasks"]}
    assert document["masked"] == ["env"]
    assert document["env"] == {"GENERAL": "***", "LEVEL": "***"}
    assert tasks["first"]["env"] == {"GENERAL": "***", "LEVEL": "***", "OWN": "***"}
    assert tasks["uses"]["body"] == "echo '***'"
    assert tasks["fails"]["args"] == ["level-nine"]
    assert document["params"] == {"level": "level-nine"}
    assert document["secrets"] == {"TOKEN": {"env": "***"}}


def test_what_is_sent_is_what_is_on_disk(original: Path, tmp_path: Path) -> None:
    """With all settings the copy is equal in every byte, apart from what is never sent."""
    home = replicate(original, tmp_path, ALL)
    copied = next(home.experiments.rglob("ledger.jsonl")).parent
    left = {str(path.relative_to(original)) for path in original.rglob("*") if path.is_file()}
    sent = {str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file()}
    assert all((copied / path).read_bytes() == (original / path).read_bytes() for path in sent)
    never = {"plan.json", "script", "outputs", "lock", "mark", "shim", "supervisor.lock", "supervisor.log"}
    assert {Path(path).name for path in left - sent} == {*never, "ledger.lock"}


def test_a_file_behind_a_link_is_not_sent(original: Path) -> None:
    """What a task may have linked to, such as a file of its user, stays here."""
    attempt = original / "tasks" / "first" / "attempt-1"
    link = attempt / "stderr"
    link.symlink_to("/etc/passwd")
    try:
        paths = [file.path for file in experiment_files.files_of(original, ALL)]
    finally:
        link.unlink()
    assert f"{attempt.relative_to(original)}/log" in paths
    assert f"{attempt.relative_to(original)}/stderr" not in paths


def test_status_list_graph_and_events_are_those_of_the_original(
    replica: Exp, original: Path, shared: Exp
) -> None:
    """A server's copy is read by the commands, and shows the same states."""
    for command in (["status"], ["why", "latest", "fails"], ["graph"], ["events", "latest"]):
        here, there = (each(*command, "--json", code=None) for each in (shared, replica))
        assert here.code == there.code
        if command[0] in {"graph", "events"}:
            assert there.stdout == here.stdout
        else:
            assert _tasks(there.json) == _tasks(here.json)
    listed = replica("list", "--json").json["experiments"]
    assert [(each["id"], each["status"]) for each in listed] == [(original.name, "FAILED")]
    assert replica("show", "latest", "--json").json["id"] == original.name


def _tasks(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("id", "status", "exit_code", "reason", "message", "outputs", "attempt", "causes")
    return [tuple(task.get(key) for key in keys) for task in document["tasks"]]


def test_logs_that_are_not_shipped_are_said_to_be(replica: Exp, original: Path, tmp_path: Path) -> None:
    """Without `tracking.logs`, `exp logs` and `exp why` name the setting; with it they show the lines."""
    for task in ([], ["first"]):
        assert "not shipped (tracking.logs)" in replica("logs", original.name, *task, code=3).stderr
    assert "the log is not shipped (tracking.logs)" in replica("why", original.name, "fails").stdout
    home = replicate(original, tmp_path / "all", ALL)
    spoken = Exp(home=home.directory, folder=tmp_path)
    assert "broken" in spoken("logs", original.name, "fails").stdout
    assert "broken" in spoken("why", original.name, "fails").stdout


@pytest.mark.parametrize(
    "command",
    [
        *(["resume"], ["rerun"], ["cancel"], ["tag", "{id}", "+x"], ["note", "{id}", "text"]),
        *(["fsck", "{id}", "--repair"], ["rm", "{id}"], ["gc", "--older", "0s", "--trash", "0s"]),
    ],
    ids=lambda command: command[0],
)
def test_a_copy_never_acts(replica: Exp, original: Path, command: list[str]) -> None:
    """Nothing is resumed, cancelled or written in a server's copy; the message names the place to do it."""
    before = {path: path.stat().st_mtime_ns for path in replica.home.rglob("*")}
    words = [word.format(id=original.name) for word in command]
    refused = replica(*words, *([original.name] if len(words) == 1 else []), code=2)
    assert "server's copy" in refused.stderr
    assert {path: path.stat().st_mtime_ns for path in replica.home.rglob("*")} == before


def test_hints_at_a_copy_name_only_commands_that_read(replica: Exp) -> None:
    """What is suggested next is possible there: neither a resume nor a cancellation."""
    for command in (["status"], ["show"], ["wait"], ["attach"]):
        said = replica(*command, code=None)
        assert "resume" not in said.stdout + said.stderr
        assert "cancel " not in said.stdout + said.stderr
        assert "exp logs" not in said.stderr  # they were not sent
    assert "hint: exp why shipped" in replica("status", code=None).stderr


def test_reading_a_copy_writes_nothing_there(replica: Exp) -> None:
    """No command that reads leaves a file among those that the server received, also not a key."""
    before = sorted(replica.home.rglob("*"))
    for command in (
        ["logs", "latest", "first"],
        ["why", "latest"],
        ["metrics"],
        ["list"],
        ["events"],
        ["doctor"],
    ):
        replica(*command, code=None)
    assert sorted(replica.home.rglob("*")) == before


def test_a_copy_that_was_copied_does_not_run_either(replica: Exp, original: Path, tmp_path: Path) -> None:
    """Without the values of `env` tasks would run with `***`, so that a resume in another home is refused."""
    elsewhere = Exp(home=tmp_path / "elsewhere", folder=tmp_path)
    shutil.copytree(replica.home, elsewhere.home)
    assert "without the values of env" in elsewhere("resume", original.name, code=2).stderr


def test_a_home_of_copies_takes_no_experiment(replica: Exp) -> None:
    """`exp run` with the home of copies is refused."""
    spec = replica.spec("tasks: {a: {inline: ':'}}")
    assert "server's copies" in replica("run", spec, code=2).stderr


def test_a_copy_of_an_unfinished_experiment_is_running_as_of_the_last_report(
    original: Path, tmp_path: Path
) -> None:
    """There is no supervisor's lock on a server: the ledger is all there is to go by."""
    home = replicate(original, tmp_path, SentParts(url=URL))
    ledger = next(home.experiments.rglob("ledger.jsonl"))
    lines = ledger.read_bytes().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if b'"event":"submitted"' in line)
    end = next(index for index in range(last, len(lines)) if b'"mark"' in lines[index])
    ledger.write_bytes(b"".join(lines[: end + 1]))
    command = Exp(home=home.directory, folder=tmp_path)
    assert command("status", "--json", code=None).json["status"] == "RUNNING"
    text = command("status", code=None).stdout.splitlines()
    (supervisor,) = (line for line in text if line.startswith("supervisor"))
    assert "as of the last report" in supervisor
    assert "another host" not in supervisor  # it may be this machine
    assert ledger.read_bytes() == b"".join(lines[: end + 1])
