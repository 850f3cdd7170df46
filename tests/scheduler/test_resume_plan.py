"""What a resume runs again, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import NOTE, shim_pid, statuses, until

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

TASKS = {
    "good": NOTE,
    "bad": f"{NOTE}; [ -e mended ]",
    "below": {"inline": NOTE, "dependencies": ["bad"]},
    "beside": {"inline": NOTE, "dependencies": ["good"]},
}


def test_what_failed_runs_again_and_what_succeeded_is_kept(workspace: ExpWorkspace) -> None:
    """A resume runs what failed and what was skipped because of it, as new attempts, and nothing else."""
    run = workspace.start(TASKS)
    assert run.wait(timeout=60).status is ExperimentStatus.FAILED
    actions = {one.task: (one.action, one.attempt) for one in run.plan_resume()}
    assert actions == {"good": ("keep", 1), "bad": ("run", 2), "below": ("run", 1), "beside": ("keep", 1)}
    workspace.touch("mended")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(workspace.lines()) == ["bad 1", "bad 2", "below 1", "beside 1", "good 1"]


def test_plan_gives_a_reason_for_each_task(workspace: ExpWorkspace) -> None:
    """The dry run says why a task is kept or run again."""
    run = workspace.start(TASKS)
    run.wait(timeout=60)
    reasons = {one.task: one.reason for one in run.plan_resume()}
    assert reasons["good"] == "it succeeded in attempt 1"
    assert "FAILED" in reasons["bad"]
    assert "dependency" in reasons["below"]
    assert len(workspace.lines()) == 3


def test_resume_of_what_is_complete_changes_nothing(workspace: ExpWorkspace) -> None:
    """There is nothing to do, and nothing is written."""
    run = workspace.start({"a": NOTE})
    run.wait(timeout=60)
    before = run.files.ledger.read_bytes()
    assert not run.resume()
    after = run.files.ledger.read_bytes()
    assert after[: len(before)] == before
    assert workspace.lines() == ["a 1"]


def test_from_runs_a_task_and_all_below_it_again(workspace: ExpWorkspace) -> None:
    """`--from` names what to run again though it succeeded; what does not depend on it is kept."""
    workspace.touch("mended")
    run = workspace.start(TASKS)
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert run.resume(below=["good"])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(workspace.lines()) == ["bad 1", "below 1", "beside 1", "beside 2", "good 1", "good 2"]
    with pytest.raises(NotFoundError):
        run.resume(below=["nothing"])


def test_from_refuses_what_is_alive(workspace: ExpWorkspace) -> None:
    """What still runs is never run a second time; the remedy is told."""
    from support.workspace import kill_supervisor  # noqa: PLC0415 - only here

    run = workspace.start({"a": f"{NOTE}; {until('gate')}"})
    shim_pid(run, "a")
    eventually(lambda: run.status().history.tasks["a"].status == "RUNNING")
    kill_supervisor(run)
    with pytest.raises(UsageError, match="still alive: a"):
        run.resume(below=["a"])
    workspace.touch("gate")
    eventually(lambda: run.status().is_over)
    assert workspace.lines() == ["a 1"]


def test_retries_begin_anew(workspace: ExpWorkspace) -> None:
    """A resumed task has its whole retry budget again, and its attempts count on."""
    run = workspace.start({"a": {"inline": f"{NOTE}; exit 1", "retry": {"limit": 1}}})
    run.wait(timeout=60)
    run.resume()
    run.wait(timeout=60)
    assert workspace.lines() == ["a 1", "a 2", "a 3", "a 4"]


def test_resume_uses_the_experiments_own_copy_of_the_spec(workspace: ExpWorkspace) -> None:
    """What was changed in the spec or its scripts since does not matter."""
    (workspace.folder / "job.sh").write_text(f"{NOTE}; [ -e mended ]\n")
    run = workspace.start({"a": {"script": "job.sh"}})
    run.wait(timeout=60)
    (workspace.folder / "job.sh").write_text("echo changed >>ran\n")
    workspace.spec({"other": "echo changed >>ran"})
    workspace.touch("mended")
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"a": "SUCCEEDED"}
    assert workspace.lines() == ["a 1", "a 2"]


def test_skipped_task_whose_parent_succeeds_now_runs(workspace: ExpWorkspace) -> None:
    """A limit that was hit before the resume no longer counts."""
    run = workspace.start(
        {"bad": f"{NOTE}; [ -e mended ]", "rest": NOTE}, run={"max_failures": 1, "max_parallel": 1}
    )
    assert statuses(run.wait(timeout=60)) == {"bad": "FAILED", "rest": "SKIPPED"}
    workspace.touch("mended")
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"bad": "SUCCEEDED", "rest": "SUCCEEDED"}
