"""One experiment a key: what `--key` and `--if-running` promise to cron."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import kill_supervisor, shim_pid, until

from nemorun_cli.errors import RunningError
from nemorun_cli.experiment import launch, run
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import run_keys

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run


def start(workspace: ExpWorkspace, **how: Any) -> Run:
    return launch.run(workspace.spec({"a": until("gate")}), home=workspace.home, **how)


def test_second_start_with_a_key_fails_while_the_first_runs(workspace: ExpWorkspace) -> None:
    """With a key the default is to fail, naming what runs; after its end the key is free."""
    first = start(workspace, key="nightly")
    with pytest.raises(RunningError, match=first.id):
        start(workspace, key="nightly")
    other = start(workspace, key="hourly")
    workspace.touch("gate")
    first.wait(timeout=60)
    other.wait(timeout=60)
    second = start(workspace, key="nightly")
    assert second.id != first.id
    second.wait(timeout=60)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_key_whose_file_is_removed_while_it_is_held(workspace: ExpWorkspace, *, is_replaced: bool) -> None:
    """The experiments that were started under it are in the new file."""
    with run_keys.hold(workspace.home, key="k", name="n") as holding:
        holding.add("n_1")
    with run_keys.hold(workspace.home, key="k", name="n") as holding:
        holding.path.unlink()
        if is_replaced:
            holding.path.write_text("n_3\n")
        holding.add("n_2")
    with run_keys.hold(workspace.home, key="k", name="n") as holding:
        assert sorted(holding.ids()) == ["n_1", "n_2", "n_3"][: 3 if is_replaced else 2]


def test_skip_gives_the_one_that_runs(workspace: ExpWorkspace) -> None:
    """`skip` starts nothing."""
    first = start(workspace, key="nightly")
    assert start(workspace, key="nightly", if_running="skip").id == first.id
    assert len(list(workspace.home.ids("tried"))) == 1
    workspace.touch("gate")
    first.wait(timeout=60)


def test_replace_cancels_the_one_that_runs(workspace: ExpWorkspace) -> None:
    """`replace` ends it, waits until it is gone, and starts."""
    first = start(workspace, key="nightly")
    second = start(workspace, key="nightly", if_running="replace")
    assert first.status().status is ExperimentStatus.CANCELLED
    workspace.touch("gate")
    assert second.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_without_a_key_the_name_counts_if_asked(workspace: ExpWorkspace) -> None:
    """`--if-running` alone is about the name; without both nothing is checked."""
    first = start(workspace)
    assert start(workspace, if_running="skip").id == first.id
    second = start(workspace)
    assert second.id != first.id
    workspace.touch("gate")
    first.wait(timeout=60)
    second.wait(timeout=60)


def test_interrupted_does_not_count_as_running(workspace: ExpWorkspace) -> None:
    """One that nobody drives and that cannot end by itself holds up nobody."""
    tasks = {"a": until("gate"), "b": ":"}
    first = launch.run(workspace.spec(tasks, run={"max_parallel": 1}), home=workspace.home, key="k")
    shim = shim_pid(first, "a")
    kill_supervisor(first)
    with pytest.raises(RunningError):
        start(workspace, key="k")
    import os  # noqa: PLC0415 - only here

    os.killpg(shim, 9)
    eventually(lambda: first.status().status is ExperimentStatus.INTERRUPTED)
    second = start(workspace, key="k")
    workspace.touch("gate")
    assert second.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_of_many_that_start_at_once_one_runs(workspace: ExpWorkspace) -> None:
    """From the check to the start the key is held, so a race has one winner."""
    spec = workspace.spec({"a": until("gate")})
    won: list[str] = []

    def race() -> None:
        won.append(launch.run(spec, home=workspace.home, key="k", if_running="skip").id)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == 1
    assert len(won) == 4
    workspace.touch("gate")
    run.find(won[0], home=workspace.home).wait(timeout=60)


def test_key_of_an_experiment_that_was_removed_is_free(workspace: ExpWorkspace) -> None:
    """A key that names what is no longer there holds up nobody."""
    import shutil  # noqa: PLC0415 - only here

    workspace.touch("gate")
    first = start(workspace, key="k")
    first.wait(timeout=60)
    eventually(lambda: not workspace.processes())
    shutil.rmtree(first.directory)
    assert start(workspace, key="k").wait(timeout=60).status is ExperimentStatus.COMPLETED
