"""Promise 1: `kill -9` of the supervisor at any moment loses nothing and runs nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import (
    NOTE,
    events,
    is_running,
    kill_supervisor,
    log,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.errors import ExpError, NotFoundError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

TASKS: dict[str, Any] = {
    "a": NOTE,
    "g": {"group": [{"inline": NOTE}, {"inline": NOTE}], "dependencies": ["a"]},
    "r": {
        "inline": f'{NOTE}; [ "$EXP_ATTEMPT" -gt 1 ]',
        "retry": {"limit": 1},
        "dependencies": ["a"],
    },
    "d": {"inline": f'{NOTE}; echo "k=$EXP_ATTEMPT" >>"$EXP_OUTPUT"', "dependencies": ["g", "r"]},
}
RAN = ["a 1", "d 1", "g/0 1", "g/1 1", "r 1", "r 2"]

RARE = ("create.", "supervisor.", "revision.", "group.", "metric.", "search.", "environment.", "trash.")
ONCE = ("supervisor.locked", "supervisor.started", "supervisor.ended")
OFTEN = tuple(point for point in crashpoints.POINTS if not point.startswith(RARE))
CREATE = tuple(point for point in crashpoints.POINTS if point.startswith("create."))
MOMENTS = [f"{point}:1" for point in ONCE] + [f"{point}:{n}" for point in OFTEN for n in (1, 2, 4)]


def start_and_die(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, moment: str) -> Run:
    """An experiment whose supervisor has died at a moment, perhaps while it began."""
    monkeypatch.setenv(crashpoints.VARIABLE, moment)
    try:
        run = workspace.start(TASKS, run={"max_parallel": 2})
    except ExpError:
        run = find(home=workspace.home)
    monkeypatch.delenv(crashpoints.VARIABLE)
    return run


def test_a_resume_forgets_no_retry(workspace: ExpWorkspace) -> None:
    """A task that fails while nobody supervises it is tried as often as it would have been."""
    task = {"inline": f"{NOTE}; {until('go')}; exit 3", "retry": {"limit": 1}}
    run = workspace.start({"a": task})
    shim_pid(run, "a")
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: run.status().history.tasks["a"].status is TaskStatus.PENDING)
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"a": "FAILED"}
    assert workspace.lines() == ["a 1", "a 2"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_write_it_is_resumed_without_running_anything_twice(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Killed at any write, what runs goes on, its end becomes known, and a resume runs only the rest."""
    run = start_and_die(workspace, monkeypatch, moment)
    after = run.wait(timeout=60)
    assert after.status in {ExperimentStatus.INTERRUPTED, ExperimentStatus.COMPLETED}
    assert after.supervisor in {"gone", "ended"}
    ran = set(workspace.lines())
    for name, state in after.history.tasks.items():
        assert f"{name} {state.attempt}" not in ran or state.is_over, "who ran has ended, and that is known"
    run.resume()
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED, statuses(final)
    assert sorted(workspace.lines()) == RAN
    assert {state.exit_code for state in final.history.tasks.values()} == {0}
    assert final.history.tasks["d"].outputs == {"k": "1"}
    assert final.history.ignored == []


@pytest.mark.parametrize("point", CREATE)
def test_command_killed_while_it_creates(workspace: ExpWorkspace, point: str) -> None:
    """A command that dies before its ledger is there leaves nothing; after it, what can be resumed."""
    done = workspace.exp(
        "run", workspace.spec(TASKS), "-d", code=None, env={crashpoints.VARIABLE: f"{point}:1"}
    )
    assert done.code == -9
    if point == "create.ledger":
        run = find(home=workspace.home)
        assert run.status().status is ExperimentStatus.INTERRUPTED
        assert run.resume()
        assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
        assert sorted(workspace.lines()) == RAN
    else:
        with pytest.raises(NotFoundError):
            find(home=workspace.home)
        assert workspace.lines() == []


def test_what_runs_goes_on_and_its_true_exit_code_is_known(workspace: ExpWorkspace) -> None:
    """Tasks outlive their supervisor; without one `status` tells how they ended, and writes it down."""
    run = workspace.start({"good": until("gate"), "bad": f"{until('gate')}; exit 7"})
    pids = [shim_pid(run, name) for name in ("good", "bad")]
    kill_supervisor(run)
    snapshot = run.status()
    assert (snapshot.status, snapshot.supervisor) == (ExperimentStatus.RUNNING, "gone")
    assert set(statuses(snapshot).values()) == {"RUNNING"}
    workspace.touch("gate")
    eventually(lambda: not any(map(is_running, pids)))
    snapshot = run.status()
    assert {name: state.exit_code for name, state in snapshot.history.tasks.items()} == {"good": 0, "bad": 7}
    assert snapshot.status is ExperimentStatus.FAILED
    ends = [event["task"] for event in events(run) if event["event"] == "ended"]
    assert sorted(ends) == ["bad", "good"]


def test_resume_adopts_what_still_runs(workspace: ExpWorkspace) -> None:
    """A new supervisor takes up a running task as it is, learns its end, and starts what waited for it."""
    run = workspace.start(
        {
            "a": f"{NOTE}; {until('gate')}; echo told=yes >>$EXP_OUTPUT; exit 0",
            "b": {"inline": NOTE, "dependencies": ["a"]},
        }
    )
    shim_pid(run, "a")
    eventually(workspace.lines)
    kill_supervisor(run)
    assert [one.action for one in run.plan_resume()] == ["adopt", "wait"]
    assert run.resume()
    assert not run.resume(), "resuming what is running changes nothing"
    workspace.touch("gate")
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "b 1"]
    assert final.history.tasks["a"].outputs == {"told": "yes"}


def test_adopted_task_that_fails_is_retried(workspace: ExpWorkspace) -> None:
    """Retries go on under a new supervisor, also for a task that the old one started."""
    run = workspace.start(
        {"a": {"inline": f'{NOTE}; {until("gate")}; [ "$EXP_ATTEMPT" = 2 ]', "retry": {"limit": 1}}}
    )
    shim_pid(run, "a")
    kill_supervisor(run)
    run.resume()
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "a 2"]


def test_end_that_nobody_saw_decides_about_dependents_after_a_resume(workspace: ExpWorkspace) -> None:
    """A failure that happened without a supervisor runs again on resume; a success is kept."""
    run = workspace.start(
        {
            "good": f"{NOTE}; {until('gate')}",
            "bad": f"{NOTE}; {until('gate')}; [ -e mended ]",
            "after": {"inline": NOTE, "dependencies": ["good", "bad"]},
        }
    )
    pids = [shim_pid(run, name) for name in ("good", "bad")]
    kill_supervisor(run)
    workspace.touch("gate")
    eventually(lambda: not any(map(is_running, pids)))
    workspace.touch("mended")
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(workspace.lines()) == ["after 1", "bad 1", "bad 2", "good 1"]


def test_log_is_whole_across_the_death_of_the_supervisor(workspace: ExpWorkspace) -> None:
    """Output that a task writes while nobody supervises is in its log, in order."""
    run = workspace.start({"a": f"echo one; {until('gate')}; echo two >&2; echo three"})
    shim_pid(run, "a")
    kill_supervisor(run)
    workspace.touch("gate")
    eventually(lambda: status(run, "a") == "SUCCEEDED")
    assert log(run, "a") == "one\ntwo\nthree\n"
