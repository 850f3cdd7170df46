"""Promise 4, seen from outside: what a command says and does about a ledger that is not what it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import NOTE, events, kill_supervisor, shim_pid, until

from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.ledger import encode

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run


@pytest.fixture
def ended(workspace: ExpWorkspace) -> Run:
    """An experiment that has ended, of which nothing runs any more."""
    run = workspace.start({"a": NOTE, "b": {"inline": "exit 3", "dependencies": ["a"]}})
    run.wait(timeout=60)
    eventually(lambda: events(run)[-1]["event"] == "supervisor_ended")
    return run


BROKEN = {
    "empty": lambda _: b"",
    "foreign JSON": lambda _: b'{"some": "thing"}\n',
    "binary": lambda _: bytes(range(256)) * 8,
    "newer": lambda _: encode([{"event": "created", "format": "exp.ledger/7"}]),
    "damaged in the middle": lambda data: data[: len(data) // 2] + b"#" + data[len(data) // 2 + 1 :],
    "cut in its first line": lambda data: data[:50],
}


@pytest.mark.parametrize("how", BROKEN)
def test_ledger_that_cannot_be_read_is_an_error_and_stays(
    workspace: ExpWorkspace, ended: Run, how: str
) -> None:
    """Every command that needs it ends with 7, names the file, and overwrites nothing; others still work."""
    broken = BROKEN[how](ended.files.ledger.read_bytes())
    ended.files.ledger.write_bytes(broken)
    for command in (["status"], ["wait"], ["resume"], ["cancel"]):
        done = workspace.exp(*command, ended.id, code=7)
        assert str(ended.files.ledger) in done.stderr
        assert "Traceback" not in done.stderr
    assert ended.files.ledger.read_bytes() == broken
    other = workspace.start({"a": NOTE}, name="other")
    assert other.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert other.id in workspace.exp("list", code=None).stdout


def test_torn_tail_is_told_and_passed_over(workspace: ExpWorkspace, ended: Run) -> None:
    """A tail that was an incomplete batch changes nothing and is reported."""
    with ended.files.ledger.open("ab") as stream:
        stream.write(b'{"event":"ended","task":"a","sta')
    done = workspace.exp("status", ended.id, "--exit-code", code=1)
    assert "an incomplete batch" in done.stderr
    assert ended.resume()
    assert ended.wait(timeout=60).status is ExperimentStatus.FAILED


def test_ledger_that_is_cut_by_a_crash_is_made_whole_from_the_attempts(workspace: ExpWorkspace) -> None:
    """With the last batches of its ledger lost, an experiment still knows what ran."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": {"inline": NOTE, "dependencies": ["a"]}})
    shim_pid(run, "a")
    eventually(lambda: events(run)[-1]["event"] == "started")
    kill_supervisor(run)
    data = run.files.ledger.read_bytes()
    run.files.ledger.write_bytes(data[: data.index(b'{"event":"started"') + 20])
    workspace.touch("gate")
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "b 1"]
