"""The truth about an experiment, whether a supervisor lives or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import NOTE, kill_supervisor, shim_pid, until

from nemorun_cli.errors import AmbiguousError, LedgerError, NotFoundError, NotOverError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.views.snapshot import Snapshot


@pytest.fixture(scope="module")
def many(shared: Exp) -> Snapshot:
    """An experiment with tasks and a group whose names resemble one another."""
    members = [{"name": name, "inline": ":"} for name in ("one", "two")]
    tasks = {"prepare": {"inline": ":"}, "train": {"group": members}, "tram": {"inline": ":"}}
    shared("run", shared.spec(json.dumps({"name": "many", "tasks": tasks})))
    return find(home=Home(shared.home)).status()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["prepare"], ["prepare"]),
        (["train"], ["train/one", "train/two"]),
        (["train/one"], ["train/one"]),
        (["train/t"], ["train/two"]),
        (["t*"], ["train/one", "train/two", "tram"]),
        (["*/one"], ["train/one"]),
        (["pre"], ["prepare"]),
        (["3"], ["tram"]),
        (["tram", "prepare", "tram"], ["prepare", "tram"]),
    ],
)
def test_tasks_are_found_by_what_people_type(many: Snapshot, wanted: list[str], expected: list[str]) -> None:
    """An exact id, a group, a glob, a unique beginning or a number, in the order of the file."""
    assert many.match_tasks(wanted) == expected


@pytest.mark.parametrize("wanted", ["nothing", "9", "trainn", "*x*", ""])
def test_what_fits_no_task_is_not_found(many: Snapshot, wanted: str) -> None:
    """The error says what there is."""
    with pytest.raises(NotFoundError):
        many.match_tasks([wanted])


def test_beginning_of_several_is_ambiguous(many: Snapshot) -> None:
    """The candidates are listed."""
    with pytest.raises(AmbiguousError, match="train/one, train/two, tram"):
        many.match_tasks(["tra"])


def test_supervisor_is_alive_gone_or_ended(workspace: ExpWorkspace) -> None:
    """Who drives it is told, and `INTERRUPTED` only where nothing can end by itself any more."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": NOTE}, run={"max_parallel": 1})
    shim_pid(run, "a")
    assert run.status().supervisor == "alive"
    kill_supervisor(run)
    snapshot = run.status()
    assert (snapshot.supervisor, snapshot.status, snapshot.exit_code) == ("gone", ExperimentStatus.RUNNING, 4)
    workspace.touch("gate")
    snapshot = run.wait(timeout=60)
    assert (snapshot.supervisor, snapshot.status, snapshot.exit_code) == (
        "gone",
        ExperimentStatus.INTERRUPTED,
        9,
    )
    run.resume()
    snapshot = run.wait(timeout=60)
    assert (snapshot.status, snapshot.exit_code) == (ExperimentStatus.COMPLETED, 0)
    eventually(lambda: run.status().supervisor == "ended")


def test_wait_has_an_end(workspace: ExpWorkspace) -> None:
    """A wait that is too short says that it is not over, and changes nothing."""
    run = workspace.start({"a": until("gate")})
    with pytest.raises(NotOverError):
        run.wait(timeout=0.05)
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_second_look_writes_nothing(workspace: ExpWorkspace) -> None:
    """What was learned once is not written again."""
    run = workspace.start({"a": until("gate"), "b": NOTE}, run={"max_parallel": 1})
    shim_pid(run, "a")
    eventually(lambda: run.status().history.tasks["a"].status == "RUNNING")
    kill_supervisor(run)
    run.status()
    before = run.files.ledger.read_bytes()
    for _ in range(3):
        run.status()
    assert run.files.ledger.read_bytes() == before
    workspace.touch("gate")
    run.wait(timeout=60)
    run.cancel()


def test_spec_that_is_gone_is_an_error(workspace: ExpWorkspace) -> None:
    """An experiment without its resolved spec says so and is not taken for an empty one."""
    run = workspace.start({"a": ":"})
    run.wait(timeout=60)
    for content in (b"", b"{}", b"[]", b'{"tasks": 3}', b"\xff"):
        run.files.resolved.write_bytes(content)
        with pytest.raises(LedgerError, match=r"resolved\.json"):
            run.status()
    run.files.resolved.unlink()
    with pytest.raises(LedgerError):
        run.status()
