"""What a resume runs again, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import NOTE, shim_pid, statuses, until

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from support.workspace import Bench

TASKS = {
    "good": NOTE,
    "bad": f"{NOTE}; [ -e mended ]",
    "below": {"inline": NOTE, "dependencies": ["bad"]},
    "beside": {"inline": NOTE, "dependencies": ["good"]},
}


def test_what_failed_runs_again_and_what_succeeded_is_kept(bench: Bench) -> None:
    """A resume runs what failed and what was skipped because of it, as new attempts, and nothing else."""
    run = bench.start(TASKS)
    assert run.wait(timeout=60).status is ExperimentStatus.FAILED
    actions = {one.task: (one.action, one.attempt) for one in run.plan_resume()}
    assert actions == {"good": ("keep", 1), "bad": ("run", 2), "below": ("run", 1), "beside": ("keep", 1)}
    bench.touch("mended")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(bench.lines()) == ["bad 1", "bad 2", "below 1", "beside 1", "good 1"]


def test_plan_gives_a_reason_for_each_task(bench: Bench) -> None:
    """The dry run says why a task is kept or run again."""
    run = bench.start(TASKS)
    run.wait(timeout=60)
    reasons = {one.task: one.reason for one in run.plan_resume()}
    assert reasons["good"] == "it succeeded in attempt 1"
    assert "FAILED" in reasons["bad"]
    assert "dependency" in reasons["below"]
    assert len(bench.lines()) == 3


def test_resume_of_what_is_complete_changes_nothing(bench: Bench) -> None:
    """There is nothing to do, and nothing is written."""
    run = bench.start({"a": NOTE})
    run.wait(timeout=60)
    before = run.files.ledger.read_bytes()
    assert not run.resume()
    after = run.files.ledger.read_bytes()
    assert after[: len(before)] == before
    assert bench.lines() == ["a 1"]


def test_from_runs_a_task_and_all_below_it_again(bench: Bench) -> None:
    """`--from` names what to run again though it succeeded; what does not depend on it is kept."""
    bench.touch("mended")
    run = bench.start(TASKS)
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert run.resume(below=["good"])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(bench.lines()) == ["bad 1", "below 1", "beside 1", "beside 2", "good 1", "good 2"]
    with pytest.raises(NotFoundError):
        run.resume(below=["nothing"])


def test_from_refuses_what_is_alive(bench: Bench) -> None:
    """What still runs is never run a second time; the remedy is told."""
    from support.workspace import kill_supervisor  # noqa: PLC0415 - only here

    run = bench.start({"a": f"{NOTE}; {until('gate')}"})
    shim_pid(run, "a")
    eventually(lambda: run.status().history.tasks["a"].status == "RUNNING")
    kill_supervisor(run)
    with pytest.raises(UsageError, match="still alive: a"):
        run.resume(below=["a"])
    bench.touch("gate")
    eventually(lambda: run.status().is_over)
    assert bench.lines() == ["a 1"]


def test_retries_begin_anew(bench: Bench) -> None:
    """A resumed task has its whole retry budget again, and its attempts count on."""
    run = bench.start({"a": {"inline": f"{NOTE}; exit 1", "retry": {"limit": 1}}})
    run.wait(timeout=60)
    run.resume()
    run.wait(timeout=60)
    assert bench.lines() == ["a 1", "a 2", "a 3", "a 4"]


def test_resume_uses_the_experiments_own_copy_of_the_spec(bench: Bench) -> None:
    """What was changed in the spec or its scripts since does not matter."""
    (bench.folder / "job.sh").write_text(f"{NOTE}; [ -e mended ]\n")
    run = bench.start({"a": {"script": "job.sh"}})
    run.wait(timeout=60)
    (bench.folder / "job.sh").write_text("echo changed >>ran\n")
    bench.spec({"other": "echo changed >>ran"})
    bench.touch("mended")
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"a": "SUCCEEDED"}
    assert bench.lines() == ["a 1", "a 2"]


def test_skipped_task_whose_parent_succeeds_now_runs(bench: Bench) -> None:
    """A limit that was hit before the resume no longer counts."""
    run = bench.start(
        {"bad": f"{NOTE}; [ -e mended ]", "rest": NOTE}, run={"max_failures": 1, "max_parallel": 1}
    )
    assert statuses(run.wait(timeout=60)) == {"bad": "FAILED", "rest": "SKIPPED"}
    bench.touch("mended")
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"bad": "SUCCEEDED", "rest": "SUCCEEDED"}
