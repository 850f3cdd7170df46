"""Promise 2: killed tasks, shims and machines, recycled pids and other hosts are told truthfully."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.patience import eventually
from support.workspace import (
    NOTE,
    attempt,
    is_running,
    kill,
    kill_supervisor,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.errors import EngineError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.ledger import LedgerReader, encode
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run


def child_pid(workspace: ExpWorkspace, name: str = "pid") -> int:
    """The pid that a task wrote down."""
    return int(eventually(lambda: workspace.lines(name))[0])


@pytest.mark.parametrize("supervised", [True, False])
def test_killed_task_is_told_with_its_signal(workspace: ExpWorkspace, supervised: bool) -> None:  # noqa: FBT001
    """A task that is killed has 137 and the signal's name, whether a supervisor lives or not."""
    run = workspace.start({"a": f"echo $$ >pid; {until('gate')}"})
    pid = child_pid(workspace)
    if not supervised:
        kill_supervisor(run)
    kill(pid)
    eventually(lambda: status(run, "a") == "FAILED")
    state = run.status().history.tasks["a"]
    assert (state.exit_code, state.reason, state.message) == (137, "signal", "killed by SIGKILL")


@pytest.mark.parametrize("supervised", [True, False])
def test_task_without_its_shim_is_running_until_it_ends_and_then_lost(
    workspace: ExpWorkspace,
    supervised: bool,  # noqa: FBT001
) -> None:
    """With its shim killed a task goes on; then nobody can know its exit code, and that is what is said."""
    run = workspace.start({"a": f"echo $$ >pid; {until('gate')}"})
    pid, shim = child_pid(workspace), shim_pid(run, "a")
    if not supervised:
        kill_supervisor(run)
    kill(shim)
    eventually(
        lambda: not Path(f"/proc/{shim}").exists()
    )  # its parent has seen its end, and that the task goes on
    eventually(lambda: status(run, "a") == "RUNNING")
    assert is_running(pid)
    workspace.touch("gate")
    eventually(lambda: status(run, "a") == "FAILED")
    state = run.status().history.tasks["a"]
    assert (state.exit_code, state.reason) == (None, "lost")


@pytest.mark.parametrize("supervised", [True, False])
def test_whole_tree_killed_at_once_is_told(workspace: ExpWorkspace, supervised: bool) -> None:  # noqa: FBT001
    """Shim, task and children killed together: only a parent can know, and only if all were gone at once."""
    run = workspace.start({"a": f"echo $$ >pid; {until('gate')}"})
    child_pid(workspace)
    shim = shim_pid(run, "a")
    if not supervised:
        kill_supervisor(run)
    os.killpg(shim, signal.SIGKILL)
    eventually(lambda: status(run, "a") == "FAILED")
    state = run.status().history.tasks["a"]
    assert (state.exit_code, state.reason) in {(None, "lost"), (137, "signal") if supervised else None}


def test_everything_killed_is_interrupted_and_runs_again_on_resume(workspace: ExpWorkspace) -> None:
    """With supervisor and tasks dead the experiment is INTERRUPTED, and a resume runs what was lost."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": NOTE}, run={"max_parallel": 1})
    shim = shim_pid(run, "a")
    eventually(workspace.lines)
    kill_supervisor(run)
    os.killpg(shim, signal.SIGKILL)
    snapshot = eventually(lambda: (found := run.status()).status is ExperimentStatus.INTERRUPTED and found)
    assert statuses(snapshot) == {"a": "FAILED", "b": "PENDING"}
    assert snapshot.exit_code == 9
    workspace.touch("gate")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "a 2", "b 1"]


def test_stale_locks_are_nobodys(workspace: ExpWorkspace) -> None:
    """Lock files with the names of the dead in them hold up nobody."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}"})
    shim = shim_pid(run, "a")
    kill_supervisor(run)
    os.killpg(shim, signal.SIGKILL)
    assert run.files.supervisor_lock.read_text()
    assert attempt(run, "a").lock.exists()
    workspace.touch("gate")
    assert run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that has nothing to do with any experiment."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield psutil.Process(process.pid)
        process.kill()


def after_a_crash(workspace: ExpWorkspace, pid: int) -> Run:
    """An experiment one task of which is gone, and whose claim and supervisor's lock now name a stranger."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": until("gate")}, run={"max_parallel": 2})
    shim_pid(run, "b")
    shim = shim_pid(run, "a")
    eventually(workspace.lines)
    kill_supervisor(run)
    processes = [psutil.Process(shim), *psutil.Process(shim).children(recursive=True)]
    os.killpg(shim, signal.SIGKILL)
    eventually(lambda: not any(is_running(process.pid) for process in processes))
    attempt(run, "a").claim.write_text(f"{pid}\n")
    text = run.files.supervisor_lock.read_text()
    run.files.supervisor_lock.write_text(
        text.replace(f'"pid": {run.status(observe=False).holder.pid}', f'"pid": {pid}')
    )  # type: ignore[union-attr]
    return run


def test_recycled_pid_is_no_evidence_of_life(workspace: ExpWorkspace, stranger: psutil.Process) -> None:
    """A claim that names a living process which is somebody else's is the claim of a dead task."""
    run = after_a_crash(workspace, stranger.pid)
    state = eventually(lambda: (found := run.status().history.tasks["a"]).is_over and found)
    assert (state.status, state.reason) == ("FAILED", "lost")
    workspace.touch("gate")
    eventually(lambda: run.status().is_over)


def test_recycled_pid_is_not_signalled(workspace: ExpWorkspace, stranger: psutil.Process) -> None:
    """A cancel ends nothing that does not carry the task's mark."""
    run = after_a_crash(workspace, stranger.pid)
    snapshot = run.cancel()
    assert statuses(snapshot) == {"a": "FAILED", "b": "CANCELLED"}
    assert stranger.is_running()
    assert stranger.status() != psutil.STATUS_ZOMBIE


def rewrite(run: Run, **changes: str) -> None:
    """Make the ledger tell that it was written elsewhere, or before a restart."""
    told = [
        {**event, **changes} if event["event"] == "supervisor_started" else event
        for event in LedgerReader(run.files.ledger).read()
    ]
    run.files.ledger.write_bytes(encode(told))


@pytest.fixture
def elsewhere(workspace: ExpWorkspace) -> Iterator[Run]:
    """An experiment that by its ledger runs on another host."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}"})
    shim = shim_pid(run, "a")
    eventually(workspace.lines)
    kill_supervisor(run)
    rewrite(run, host="far-away")
    yield run
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shim, signal.SIGKILL)


def test_other_host_is_told_as_that(elsewhere: Run) -> None:
    """What another host runs can only be seen there: neither ended nor interrupted, but `elsewhere`."""
    snapshot = elsewhere.status()
    assert (snapshot.status, snapshot.supervisor) == (ExperimentStatus.RUNNING, "elsewhere")
    assert snapshot.to_json()["supervisor"]["host"] == "far-away"


def test_resume_of_what_another_host_runs_is_refused(elsewhere: Run) -> None:
    """A resume could run it twice, so it is refused, and so is a cancel; the host is named."""
    with pytest.raises(EngineError, match="far-away"):
        elsewhere.resume()
    with pytest.raises(EngineError, match="far-away"):
        elsewhere.cancel()


def test_resume_of_what_a_lost_host_ran(workspace: ExpWorkspace, elsewhere: Run) -> None:
    """Told that the host is gone for good, a resume takes what ran there for lost and runs it again."""
    os.killpg(shim_pid(elsewhere, "a"), signal.SIGKILL)
    workspace.touch("gate")
    assert elsewhere.resume(host_is_gone=True)
    assert elsewhere.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1", "a 2"]


def test_what_ended_on_a_lost_host_counts(workspace: ExpWorkspace, elsewhere: Run) -> None:
    """A task that left its exit record has ended as that says, and does not run again."""
    pid = shim_pid(elsewhere, "a")
    workspace.touch("gate")
    eventually(lambda: not is_running(pid))
    elsewhere.resume(host_is_gone=True)
    assert elsewhere.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1"]


def test_abandon_gives_up_on_what_another_host_runs(elsewhere: Run) -> None:
    """With `abandon` it is recorded as cancelled without a word from there, and the record says so."""
    snapshot = elsewhere.cancel(abandon=True)
    assert snapshot.status is ExperimentStatus.CANCELLED
    assert snapshot.history.tasks["a"].reason == "abandoned"


def test_restart_of_the_machine_is_told(workspace: ExpWorkspace) -> None:
    """After a restart nothing of the old boot can live: its tasks are lost, the experiment INTERRUPTED."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": NOTE}, run={"max_parallel": 1})
    shim = shim_pid(run, "a")
    eventually(workspace.lines)
    kill_supervisor(run)
    os.killpg(shim, signal.SIGKILL)
    rewrite(run, boot="another-boot")
    snapshot = eventually(lambda: (found := run.status()).status is ExperimentStatus.INTERRUPTED and found)
    state = snapshot.history.tasks["a"]
    assert (state.status, state.reason, state.exit_code) == ("FAILED", "lost", None)


def test_two_experiments_of_one_id_are_kept_apart(workspace: ExpWorkspace) -> None:
    """Experiments under two homes may share an id; ending one leaves the other alone."""
    run = workspace.start({"a": until("gate")})
    shim = shim_pid(run, "a")
    eventually(lambda: status(run, "a") == "RUNNING")
    kill_supervisor(run)
    other = Home(workspace.folder / "other")
    shutil.copytree(workspace.home.directory, other.directory, ignore=shutil.ignore_patterns("wake"))
    snapshot = find(run.id, home=other).cancel(signal="KILL", grace=0)
    assert snapshot.is_over
    assert is_running(shim)
    assert status(run, "a") == "RUNNING"
    workspace.touch("gate")
    eventually(lambda: status(run, "a") == "SUCCEEDED")
