"""A full disk under a home whose tasks run on an engine: no end is lost, and each task runs once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.slurm_experiments import header
from support.small_disks import full, mounted
from support.workspace import NOTE, ExpWorkspace, events, kill_supervisor, statuses, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import Exp

DISK = 16_384  # KiB
BOX = {
    "executors": {"box": {"type": "docker", "image": "exp-test/busybox"}},
    "executor": "box",
    "defaults": {"entrypoint": "sh"},
}


@pytest.fixture
def small(exp: Exp, workspace: ExpWorkspace) -> Iterator[ExpWorkspace]:
    """A workspace whose home is a disk of its own."""
    with mounted(exp.home, DISK):
        yield workspace


def check(workspace: ExpWorkspace, **options: Any) -> None:
    """Let tasks end on a full disk, with their supervisor and without it."""
    run = workspace.start(
        {
            "good": f"{NOTE}; {until('gate')}",
            "bad": f"{NOTE}; {until('gate')}; exit 7",
            "after": {"inline": NOTE, "dependencies": ["bad"], "dependency_type": "afternotok"},
        },
        run={"max_parallel": 2},
        on_failure={"alarm": {"inline": NOTE}},
        **options,
    )
    eventually(lambda: len(workspace.lines()) == 2)
    with full(workspace.home.directory):
        workspace.touch("gate")
        time.sleep(2)  # the tasks end meanwhile
        assert run.status().history.tasks["bad"].exit_code in (None, 7)
        kill_supervisor(run)
        assert not run.status().is_over
    run.resume()
    final = run.wait(timeout=120)
    assert statuses(final) == {
        "good": "SUCCEEDED",
        "bad": "FAILED",
        "after": "SUCCEEDED",
        "on_failure/alarm": "SUCCEEDED",
    }
    ends = [event for event in events(run) if event["event"] == "ended" and event["attempt"] == 1]
    assert {event["task"]: event.get("exit_code") for event in ends}["bad"] == 7
    assert sorted(workspace.lines()) == sorted(set(workspace.lines())), "an attempt ran twice"
    assert final.history.ignored == []


@pytest.mark.usefixtures("docker_engine")
def test_ends_of_containers_survive_a_full_disk(small: ExpWorkspace) -> None:
    """A container's exit code is known once there is room, although its shim could not write it."""
    check(small, **BOX)


@pytest.mark.usefixtures("slurm")
def test_ends_of_jobs_survive_a_full_disk(small: ExpWorkspace) -> None:
    """A job's exit code is known once there is room."""
    check(small, **header())
