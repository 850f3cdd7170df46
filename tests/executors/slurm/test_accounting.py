"""What only accounting tells: how jobs ended that Slurm's controller has forgotten, without a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.slurm_experiments import QUICK, WHOLE, header, is_running, now, soon
from support.workspace import attempt, kill_supervisor, until

from nemorun_cli.model.status import Reason

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState


GREEDY = "x=$(head -c 200M /dev/zero | tr '\\0' x); sleep 2"  # where 64 MB are allowed


def unwatched(workspace: ExpWorkspace, tasks: dict[str, Any], **executors: Any) -> Run:
    """An experiment whose tasks run, and which has lost its supervisor."""
    run = workspace.start(tasks, **header(**executors))
    soon(lambda: all(is_running(run, task) for task in tasks))
    kill_supervisor(run)
    return run


def known_by_accounting(run: Run, slurm: Slurm) -> dict[str, TaskState]:
    """How its tasks ended, told by one look when there is nothing but accounting to tell of them."""
    tasks = run.status(observe=False).history.tasks
    soon(lambda: all(slurm.forgot(str(state.job_id)) for state in tasks.values()))
    for task in tasks:
        attempt(run, task).exit.unlink(missing_ok=True)
    return dict(run.status().history.tasks)


def test_jobs_that_were_cancelled_in_slurm(workspace: ExpWorkspace, slurm_accounting: Slurm) -> None:
    """A forgotten job that somebody cancelled is CANCELLED, and not lost; the first look waits for sacct."""
    run = unwatched(workspace, {"one": until("never"), "two": until("never")})
    slurm_accounting.ask("scancel", *(str(now(run, task).job_id) for task in ("one", "two")))
    ended = known_by_accounting(run, slurm_accounting)
    assert {str(state.status) for state in ended.values()} == {"CANCELLED"}
    assert all("not by exp" in (state.message or "") for state in ended.values())


def test_ends_that_slurm_decided_and_forgot(workspace: ExpWorkspace, slurm_accounting: Slurm) -> None:
    """Out of memory, a node that failed and an exit code are told by accounting as what they are."""
    tasks = {
        "greedy": {"inline": f"{until('go')}; {GREEDY}", "executor": "small"},
        "failing": f"{until('go')}; exit 3",
        "fallen": until("never"),
    }
    run = unwatched(workspace, tasks, small={**QUICK, "mem": "64M"})
    workspace.touch("go")
    soon(lambda: len(slurm_accounting.jobs(workspace.home.directory)) == 1)
    node = slurm_accounting.node
    slurm_accounting.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    soon(lambda: not slurm_accounting.jobs(workspace.home.directory))
    slurm_accounting.resume(node)
    ended = known_by_accounting(run, slurm_accounting)
    assert {task: (state.reason, state.exit_code) for task, state in ended.items()} == {
        "greedy": (Reason.OOM, None),
        "failing": (Reason.EXIT, 3),
        "fallen": (Reason.NODE_FAIL, None),
    }


def test_running_out_of_memory_is_told(workspace: ExpWorkspace, slurm_accounting: Slurm) -> None:
    """A job that Slurm ends for its memory has the reason `oom`, whatever became of its task."""
    if "TaskPlugin=task/cgroup" not in (slurm_accounting.folder / "slurm.conf").read_text():
        pytest.skip("THE LIMITS OF SLURM ARE NOT TESTED: there is no memory controller of cgroups, version 1")
    tasks = {"one": GREEDY, "two": f"({GREEDY}) || echo $?; exit 4"}
    states = workspace.run(tasks, **header(cluster={**QUICK, "mem": "64M"})).history.tasks
    assert {state.reason for state in states.values()} == {Reason.OOM}


def test_a_preemption_that_slurm_forgot(workspace: ExpWorkspace, slurm_accounting: Slurm) -> None:
    """A job that had to make room while nobody watched is PREEMPTED."""
    run = unwatched(workspace, {"one": until("never")}, cluster={**WHOLE, "partition": "main"})
    slurm_accounting.submit("true", "--partition=urgent", "--cpus-per-task=8")
    (state,) = known_by_accounting(run, slurm_accounting).values()
    assert (str(state.status), state.reason) == ("FAILED", Reason.PREEMPTED)
