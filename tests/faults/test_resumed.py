"""What holds of a resume after a crash, beside other resumes, and beside what holds the experiment."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import kill_supervisor, shim_pid, status, until

from nemorun_cli.errors import LockHeldError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.supervisor import client
from nemorun_cli.supervisor.assignment import Assignment, ResumeRequest
from nemorun_cli.system import crashpoints, locks, pids

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

LASTING = "echo + >>ran; sleep 0.2; echo - >>ran"


@pytest.mark.parametrize("point", ["attempt.plan:1", "attempt.locked:2", "attempt.submitted:1"])
@pytest.mark.parametrize("most", [1, 3])
def test_max_parallel_holds_after_a_crash(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, most: int, point: str
) -> None:
    """What was recorded as submitted and never began has its slot already."""
    monkeypatch.setenv(crashpoints.VARIABLE, point)
    run = workspace.start(
        {"t": {"inline": LASTING, "matrix": {"i": list(range(6))}}, "last": {"inline": LASTING}},
        run={"max_parallel": most},
    )
    monkeypatch.delenv(crashpoints.VARIABLE)
    eventually(lambda: run.status(observe=False).supervisor != "alive")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    marks = workspace.lines()
    assert marks.count("+") == 7
    running = [marks[: index + 1].count("+") - marks[:index].count("-") for index in range(len(marks))]
    assert max(running) <= most


@pytest.mark.parametrize("kind", ["afterok", "afterany", "afternotok"])
def test_a_retry_waits_for_what_a_resume_runs_again(workspace: ExpWorkspace, kind: str) -> None:
    """A task in the delay of its retry is decided again if what it depends on was reset."""
    first = (
        'if [ "$EXP_ATTEMPT" = 2 ]; then sleep 0.6; fi; echo "a $EXP_ATTEMPT" >>ran; [ "$EXP_ATTEMPT" = 2 ]'
    )
    then = {"inline": 'echo "b $EXP_ATTEMPT" >>ran; exit 1', "retry": {"limit": 1, "delay": 0.4}}
    run = workspace.start(
        {
            "a": {"inline": first, "allow_failure": True},
            "b": {**then, "dependencies": ["a"], "dependency_type": kind},
        }
    )
    eventually(lambda: run.status().history.tasks["b"].not_before)
    kill_supervisor(run)
    assert run.resume()
    run.wait(timeout=60)
    assert workspace.lines() == ["a 1", "b 1", "a 2", *(["b 2"] if kind != "afternotok" else [])]
    assert status(run, "b") == ("SKIPPED" if kind == "afternotok" else "FAILED")


def test_a_handler_in_its_retry_waits_for_the_new_outcome(workspace: ExpWorkspace) -> None:
    """A resume that runs tasks again has a new outcome, which decides about a handler in its delay."""
    task = f'if [ "$EXP_ATTEMPT" = 1 ]; then exit 1; fi; {until("go")}; echo "a 2" >>ran'
    handler = {"inline": 'echo "h $EXP_ATTEMPT" >>ran; exit 1', "retry": {"limit": 1, "delay": 0.3}}
    run = workspace.start({"a": task}, on_failure={"h": handler})
    eventually(lambda: run.status().history.tasks["on_failure/h"].not_before)
    kill_supervisor(run)
    assert run.resume()
    shim_pid(run, "a", 2)
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["h 1", "a 2"]


def test_a_late_resume_does_not_run_failures_once_more(workspace: ExpWorkspace) -> None:
    """Of resumes that saw the same state, one runs the failures again; the others change nothing."""
    run = workspace.start({"a": "exit 1"})
    seen = run.wait(timeout=60).history.resumed
    assert run.resume()
    run.wait(timeout=60)
    late = ResumeRequest(by="late", seen=seen)
    with pytest.raises(client.AlreadyRunning):
        client.take().go(
            Assignment(directory=run.files.directory, home=workspace.home.directory, resume=late)
        )
    assert run.status().history.tasks["a"].attempt == 2
    assert run.resume()
    assert run.wait(timeout=60).history.tasks["a"].attempt == 3


def test_a_resume_beside_a_cancel_is_refused(workspace: ExpWorkspace) -> None:
    """A process that holds the experiment and does not supervise it is named, and nothing counts as done."""
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    kill_supervisor(run)
    lock = locks.try_take_nameless(run.files.supervisor_lock)  # as a cancel does without a supervisor
    assert lock is not None
    with pytest.raises(LockHeldError, match=f"process {os.getpid()} still works on {run.id}"):
        run.resume()
    os.close(lock)
    assert run.resume()
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_a_resume_beside_a_stopped_supervisor_is_refused(workspace: ExpWorkspace) -> None:
    """A supervisor that is stopped lives and does nothing: `resume` names it, with exit code 7."""
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    os.kill(holder.pid, signal.SIGSTOP)
    eventually(lambda: pids.is_stopped(holder.pid))  # on a busy machine it comes to that only later
    for options in ((), ("--detach",), ("--dry-run",)):
        refused = workspace.exp("resume", "latest", *options, code=7)
        assert f"does not respond: process {holder.pid}" in refused.stderr
        assert f"kill -CONT {holder.pid}" in refused.stderr
    os.kill(holder.pid, signal.SIGCONT)
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


@pytest.mark.parametrize("point", ["attempt.folder:2", "attempt.plan:2", "attempt.locked:2"])
def test_a_handler_that_never_began_does_not_block_a_resume(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A crash between the end of the tasks and their first handler leaves nothing alive."""
    monkeypatch.setenv(crashpoints.VARIABLE, point)
    run = workspace.start(
        {"a": 'echo "a $EXP_ATTEMPT" >>ran; [ "$EXP_ATTEMPT" = 2 ]'},
        on_failure={"alarm": {"inline": "echo alarm >>ran"}},
        on_exit={"bye": {"inline": "echo bye >>ran"}},
    )
    monkeypatch.delenv(crashpoints.VARIABLE)
    eventually(lambda: run.status(observe=False).supervisor != "alive")
    assert status(run, "on_failure/alarm") == "PENDING"  # no engine has it
    assert [decision.action for decision in run.plan_resume()] == ["run", "wait", "wait"]
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "a 2", "bye"]
    assert status(run, "on_failure/alarm") == "SKIPPED"


def test_a_task_that_never_began_can_run_again_with_what_it_depends_on(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--from` does not take an attempt for alive that no process and no engine has."""
    monkeypatch.setenv(crashpoints.VARIABLE, "attempt.plan:2")
    run = workspace.start({"a": "echo a >>ran", "b": {"inline": "echo b >>ran", "dependencies": ["a"]}})
    monkeypatch.delenv(crashpoints.VARIABLE)
    eventually(lambda: run.status(observe=False).supervisor != "alive")
    assert run.resume(below=["a"])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a", "a", "b"]
