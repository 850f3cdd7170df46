"""Promise 6: `exp cancel` from another shell, at any moment, ends all of it and says when it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import (
    NOTE,
    attempt,
    events,
    is_running,
    kill_supervisor,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

DEAF = """
trap '' TERM INT HUP
echo $$ >>pids
setsid sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.1; done' &
(setsid sh -c 'echo $$ >>pids; exec 0<&- 1>&- 2>&- 9>&-; while :; do sleep 0.1; done' &)
env -i PATH="$PATH" sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.1; done' &
while :; do sleep 0.1; done
"""


def pids(workspace: ExpWorkspace, count: int) -> list[int]:
    """The pids that the processes of a task wrote down."""
    eventually(lambda: len(workspace.lines("pids")) == count)
    return [int(line) for line in workspace.lines("pids")]


@pytest.mark.parametrize("supervised", [True, False])
def test_deaf_task_with_children_in_sessions_of_their_own_is_gone(
    workspace: ExpWorkspace,
    supervised: bool,  # noqa: FBT001
) -> None:
    """When cancel returns, the whole tree is gone: deaf, daemonised, in sessions of their own, unmarked."""
    run = workspace.start(
        {"a": {"inline": DEAF, "stop_grace": 0.3}, "b": {"inline": NOTE, "dependencies": ["a"]}}
    )
    found = pids(workspace, 4)
    if not supervised:
        kill_supervisor(run)
    done = workspace.exp("cancel", run.id)
    assert not any(map(is_running, found))
    snapshot = run.status()
    assert snapshot.status is ExperimentStatus.CANCELLED, done.stderr
    assert statuses(snapshot)["a"] == "CANCELLED"
    assert snapshot.history.tasks["b"].status in {"CANCELLED", "SKIPPED"}
    assert workspace.lines() == []
    assert workspace.exp("status", run.id, "--exit-code", code=5)


@pytest.mark.parametrize("supervised", [True, False])
def test_cancel_of_one_task_skips_what_needs_it(workspace: ExpWorkspace, supervised: bool) -> None:  # noqa: FBT001
    """Others go on; what depends on the cancelled task never runs, and the experiment is FAILED."""
    run = workspace.start(
        {
            "a": until("never"),
            "b": {"inline": NOTE, "dependencies": ["a"]},
            "c": {"inline": until("gate")},
            "d": {"inline": NOTE, "dependencies": ["a"], "dependency_type": "afternotok"},
        },
        run={"max_parallel": 4},
    )
    shim_pid(run, "a")
    shim_pid(run, "c")
    if not supervised:
        kill_supervisor(run)
    snapshot = run.cancel(["a"])
    assert statuses(snapshot)["a"] == "CANCELLED"
    assert status(run, "c") == "RUNNING"
    workspace.touch("gate")
    eventually(lambda: status(run, "c") == "SUCCEEDED")
    if not supervised:
        assert statuses(run.status())["d"] == "PENDING"
        run.cancel()
        return
    final = run.wait(timeout=60)
    assert statuses(final) == {"a": "CANCELLED", "b": "SKIPPED", "c": "SUCCEEDED", "d": "SUCCEEDED"}
    assert final.status is ExperimentStatus.FAILED
    assert workspace.lines() == ["d 1"]


def test_task_that_waits_is_cancelled_before_it_runs(workspace: ExpWorkspace) -> None:
    """A task that waits for a slot or a dependency is CANCELLED and never begins."""
    run = workspace.start(
        {"a": until("gate"), "b": NOTE, "c": {"inline": NOTE, "dependencies": ["b"]}}, run={"max_parallel": 1}
    )
    shim_pid(run, "a")
    assert statuses(run.cancel(["b"]))["b"] == "CANCELLED"
    workspace.touch("gate")
    assert statuses(run.wait(timeout=60)) == {"a": "SUCCEEDED", "b": "CANCELLED", "c": "SKIPPED"}
    assert workspace.lines() == []


def test_task_that_waits_for_its_retry_is_cancelled(workspace: ExpWorkspace) -> None:
    """A cancel during the delay of a retry ends the task; no further attempt is made."""
    run = workspace.start({"a": {"inline": f"{NOTE}; exit 1", "retry": {"limit": 3, "delay": 600}}})
    eventually(lambda: run.status().history.tasks["a"].not_before)
    assert run.cancel().status is ExperimentStatus.CANCELLED
    assert workspace.lines() == ["a 1"]


POINTS = [point for point in crashpoints.POINTS if point.startswith("attempt.")] + [
    "ledger.written",
    "supervisor.started",
]


@pytest.mark.parametrize("point", POINTS)
def test_cancel_while_a_task_is_being_submitted(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Wherever the supervisor is in submitting (here: dead right there), a cancel ends what it began."""
    monkeypatch.setenv(crashpoints.VARIABLE, f"{point}:1" if point != "ledger.written" else f"{point}:2")
    try:
        run = workspace.start(
            {"a": f"echo $$ >>pids; {until('never')}", "b": {"inline": NOTE, "dependencies": ["a"]}}
        )
    except Exception:  # noqa: BLE001 - it may have died before it could answer
        run = find(home=workspace.home)
    monkeypatch.delenv(crashpoints.VARIABLE)
    if point == "attempt.over":
        shim_pid(run, "a")
        kill_supervisor(run)
    snapshot = run.cancel()
    assert snapshot.status is ExperimentStatus.CANCELLED
    assert statuses(snapshot)["a"] == "CANCELLED"
    assert not any(is_running(int(pid)) for pid in workspace.lines("pids"))
    assert workspace.lines() == []


def test_cancel_as_early_as_can_be(workspace: ExpWorkspace) -> None:
    """A cancel that comes before, while and after the tasks are submitted ends them all the same."""
    for number in range(8):
        run = workspace.start(
            {str_name: f"echo $$ >>pids{number}; {until('never')}" for str_name in ("a", "b", "c", "d")},
            run={"max_parallel": 4},
        )
        snapshot = run.cancel(grace=0.2)
        assert snapshot.status is ExperimentStatus.CANCELLED
        assert set(statuses(snapshot).values()) == {"CANCELLED"}
        assert not any(is_running(int(pid)) for pid in workspace.lines(f"pids{number}"))


def test_many_cancel_at_once(workspace: ExpWorkspace) -> None:
    """Several commands may cancel the same; each returns when it is gone."""
    run = workspace.start({"a": {"inline": DEAF, "stop_grace": 0.2}})
    found = pids(workspace, 4)
    kill_supervisor(run)
    commands = [workspace.exp.start("cancel", run.id) for _ in range(4)]
    assert [command.wait(60) for command in commands] == [0] * 4
    for command in commands:
        command.communicate()
    assert not any(map(is_running, found))
    assert run.status().status is ExperimentStatus.CANCELLED
    assert len([event for event in events(run) if event["event"] == "ended"]) == 1


def test_signal_and_grace_of_the_request_count(workspace: ExpWorkspace) -> None:
    """`--signal` and `--grace` stand for the task's own; its exit code is kept."""
    run = workspace.start({"a": f"trap 'exit 9' USR1; : >ready; {until('never')}"})
    eventually((workspace.folder / "ready").exists)
    snapshot = run.cancel(signal="USR1", grace=20)
    assert snapshot.history.tasks["a"].exit_code == 9
    with pytest.raises(UsageError, match="no signal"):
        run.cancel(signal="NOPE")


def test_stop_signal_of_the_task_is_used(workspace: ExpWorkspace) -> None:
    """A task ends by the signal it wants."""
    run = workspace.start(
        {"a": {"inline": f"trap 'exit 8' INT; : >ready; {until('never')}", "stop_signal": "INT"}}
    )
    eventually((workspace.folder / "ready").exists)
    assert run.cancel().history.tasks["a"].exit_code == 8


def test_later_kill_overrides_an_earlier_cancel(workspace: ExpWorkspace) -> None:
    """A second request with another signal and grace takes effect at once."""
    run = workspace.start({"a": {"inline": DEAF, "stop_grace": 600}})
    found = pids(workspace, 4)
    first = workspace.exp.start("cancel", run.id)
    eventually(lambda: any(event["event"] == "cancel_requested" for event in events(run)))
    run.cancel(signal="KILL", grace=0)
    assert not any(map(is_running, found))
    assert first.wait(20) == 0
    first.communicate()


def test_cancel_is_told_with_who_asked(workspace: ExpWorkspace) -> None:
    """The task and the ledger say who cancelled."""
    run = workspace.start({"a": until("never")})
    shim_pid(run, "a")
    workspace.exp("cancel", run.id)
    state = run.status().history.tasks["a"]
    assert state.reason == "cancelled"
    assert f"pid {os.getpid()}" not in (state.message or "")
    request = next(event for event in events(run) if event["event"] == "cancel_requested")
    assert "exp cancel" in request["by"]


def test_cancel_of_what_is_over_changes_nothing(workspace: ExpWorkspace) -> None:
    """An experiment that has ended stays as it ended."""
    run = workspace.start({"a": ":"})
    run.wait(timeout=60)
    before = run.files.ledger.read_bytes()
    assert run.cancel().status is ExperimentStatus.COMPLETED
    assert run.files.ledger.read_bytes() == before


def test_abandon_records_a_cancel_without_looking(workspace: ExpWorkspace) -> None:
    """`--abandon` gives a task up: recorded as that, and left as it is."""
    run = workspace.start({"a": until("gate")})
    shim = shim_pid(run, "a")
    snapshot = run.cancel(abandon=True)
    assert (snapshot.status, snapshot.history.tasks["a"].reason) == (ExperimentStatus.CANCELLED, "abandoned")
    assert is_running(shim)
    workspace.touch("gate")
    eventually(lambda: not is_running(shim))


def test_what_was_abandoned_does_not_run_twice(workspace: ExpWorkspace) -> None:
    """`--abandon` names what may still run, and a resume refuses as long as it does."""
    run = workspace.start({"a": until("gate")})
    shim = shim_pid(run, "a")
    eventually(lambda: workspace.exp.task("a")["status"] == "RUNNING")
    told = workspace.exp("cancel", run.id, "--abandon").stderr
    assert "0 task(s) terminated" in told
    assert f"without confirmation from the engine; 1 may still run: a (attempt 1, job id {shim})" in told
    eventually(lambda: run.status().supervisor != "alive")
    refused = workspace.exp("resume", run.id, code=2).stderr
    assert f"still alive: a (attempt 1, job id {shim})" in refused
    assert workspace.exp("resume", run.id, "--dry-run", code=2).stderr == refused
    assert run.status().history.tasks["a"].attempt == 1
    workspace.touch("gate")
    eventually(lambda: not is_running(shim))
    workspace.exp("resume", run.id)


def test_resume_after_a_cancel_runs_the_rest(workspace: ExpWorkspace) -> None:
    """After a resume the earlier cancel no longer counts."""
    run = workspace.start({"a": NOTE, "b": {"inline": f"{NOTE}; {until('gate')}", "dependencies": ["a"]}})
    eventually(lambda: "b 1" in workspace.lines())
    run.cancel()
    workspace.touch("gate")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "b 1", "b 2"]


def test_cancel_does_not_touch_a_nested_experiment(workspace: ExpWorkspace) -> None:
    """What a task starts with `exp run -d` outlives the task's end, and a cancel of it."""
    inner = workspace.exp.spec(
        f'{{"version": 1, "name": "inner", "tasks": {{"x": {{"inline": "{until("gate")}"}}}}}}',
        "inner.yaml",
    )
    command = f"{sys.executable} -m nemorun_cli run {inner} -d >id"
    ended = workspace.start({"a": command})
    assert ended.wait(timeout=60).status is ExperimentStatus.COMPLETED
    first = find(workspace.lines("id")[0], home=workspace.home)
    outer = workspace.start({"a": f"{command}2; {until('never')}"})
    eventually(lambda: workspace.lines("id2"))
    second = find(workspace.lines("id2")[0], home=workspace.home)
    outer.cancel()
    for nested in (first, second):
        assert nested.status().supervisor == "alive"
        assert status(nested, "x") == "RUNNING"
    workspace.touch("gate")
    for nested in (first, second):
        assert nested.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_unrelated_processes_are_left_alone(workspace: ExpWorkspace) -> None:
    """A cancel ends the task's tree and no process beside it, though it is of the same user."""
    kept: dict[str, Any] = {"cwd": workspace.folder, "env": {**os.environ, "NEMORUN_HOME": ""}}
    with subprocess.Popen(["sleep", "600"], **kept) as stranger:
        run = workspace.start({"a": until("never"), "b": until("gate")}, run={"max_parallel": 2})
        shims = shim_pid(run, "a"), shim_pid(run, "b")
        run.cancel(["a"])
        assert not is_running(shims[0])
        assert is_running(shims[1])
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)
    workspace.touch("gate")
    run.wait(timeout=60)
    assert attempt(run, "b").exit.exists()
