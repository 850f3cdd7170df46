"""Folders and files of an experiment that are removed, moved or replaced while its tasks run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from support.patience import eventually
from support.workspace import NOTE, is_running, shim_pid, status, statuses, until

from nemorun_cli.contract.fixtures import processes_of
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

HERE = 'd=$(dirname "$EXP_OUTPUT")'


def test_what_a_task_makes_of_its_folder_keeps_nothing_waiting(workspace: ExpWorkspace) -> None:
    """A folder that is replaced, a FIFO or a folder in the place of any file: each task ends truthfully."""
    tasks = {
        "removed": f'{HERE}; rm -rf "$d"; exit 3',
        "replaced": f'{HERE}; rm -rf "$d"; touch "$d"; exit 4',
        "folder": f'{HERE}; mkdir "$d/exit.json"; exit 5',
        "fifo": f'{HERE}; mkfifo "$d/exit.json"; exit 6',
        "files": f'{HERE}; cd "$d"; rm -f claim; for f in claim usage records; do mkfifo $f; done; exit 7',
        "outputs": 'mkfifo "$EXP_OUTPUT"',
        "lock": f'{HERE}; rm "$d/lock"; mkfifo "$d/lock"; exit 8',
    }
    after = {"inline": NOTE, "dependencies": list(tasks), "dependency_type": "afterany"}
    run = workspace.start({**tasks, "after": after}, run={"max_parallel": 8})
    states = run.wait(timeout=60).history.tasks
    assert {name: states[name].exit_code for name in tasks} == {
        "removed": 3, "replaced": 4, "folder": 5, "fifo": 6, "files": 7, "outputs": 0, "lock": 8,
    }  # fmt: skip
    assert (statuses(run.status())["outputs"], states["outputs"].reason) == ("FAILED", Reason.OUTPUTS)
    assert workspace.lines() == ["after 1"]


def test_supervisor_and_shim_leave_with_their_home(workspace: ExpWorkspace) -> None:
    """They look after what is not there any more no longer than its task runs, and make nothing new there."""
    run = workspace.start({"a": f"touch up; {until('gate')}"})
    eventually((workspace.folder / "up").exists)
    eventually(lambda: list(workspace.home.directory.glob("dash/**/openings/*")))  # made last
    holder, shim = run.status(observe=False).holder, shim_pid(run, "a")
    assert holder is not None
    shutil.rmtree(workspace.home.directory)
    eventually(lambda: not is_running(holder.pid))
    assert is_running(shim)
    workspace.touch("gate")
    eventually(lambda: not is_running(shim))
    assert not workspace.home.directory.exists()


def test_task_of_a_moved_home_can_be_cancelled(workspace: ExpWorkspace) -> None:
    """Its supervisor leaves; at the new place it is seen to run, and a cancel ends all that it started."""
    run = workspace.start({"a": f"sleep 600 & touch up; {until('never')}"})
    eventually((workspace.folder / "up").exists)
    holder = run.status(observe=False).holder
    assert holder is not None
    moved = Home(workspace.home.directory.with_name("moved"))
    workspace.home.directory.rename(moved.directory)
    eventually(lambda: not is_running(holder.pid))
    there = find(run.id, home=moved)
    assert status(there, "a") == "RUNNING"
    assert statuses(there.cancel(grace=1.0)) == {"a": "CANCELLED"}
    assert processes_of(workspace.home.directory, marked="EXP_TASK") == []


def test_folder_of_one_attempt_costs_the_other_tasks_nothing(workspace: ExpWorkspace) -> None:
    """With the folder of one attempt removed, the supervisor ends, starts and cancels all other tasks."""
    run = workspace.start(
        {
            "gone": f"touch up; {until('never')}",
            "ends": until("gate"),
            "starts": {"inline": NOTE, "dependencies": ["ends"]},
            "cancelled": until("never"),
        },
        run={"max_parallel": 4},
    )
    eventually((workspace.folder / "up").exists)
    shutil.rmtree(run.files.task("gone"))
    assert statuses(run.cancel(["cancelled"], grace=1.0))["cancelled"] == "CANCELLED"
    workspace.touch("gate")
    eventually(lambda: workspace.lines() == ["starts 1"])
    assert status(run, "gone") == "RUNNING"
    assert run.cancel(grace=1.0).status is ExperimentStatus.CANCELLED
    assert status(run, "gone") == "CANCELLED"
