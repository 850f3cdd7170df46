"""A lock file that is removed, replaced or emptied while its holder lives still protects the experiment."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import events, shim_pid, until

from nemorun_cli.errors import LockHeldError
from nemorun_cli.experiment.maintenance import fsck, repair
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import supervision
from nemorun_cli.supervisor import client
from nemorun_cli.supervisor.assignment import Assignment, ResumeRequest
from nemorun_cli.system import locks, pids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.workspace import ExpWorkspace


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _clear(path: Path) -> None:
    path.unlink()
    path.with_name("wake").unlink()


@pytest.mark.parametrize("damage", [_remove, _replace, _empty, _clear])
def test_no_second_supervisor_starts(workspace: ExpWorkspace, damage: Callable[[Path], None]) -> None:
    """Not even while the first one is stopped and cannot lock its file again; later it does."""
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    os.kill(holder.pid, signal.SIGSTOP)
    eventually(lambda: pids.halt(holder.pid) == "stopped")
    damage(run.files.supervisor_lock)
    document = run.status().to_json()["supervisor"]
    assert (document["state"], document["pid"], document["responding"]) == ("alive", holder.pid, False)
    with pytest.raises(LockHeldError, match=f"does not respond: process {holder.pid}"):
        run.resume()
    assert supervision.take(run.files, patience=0.01) is None
    with pytest.raises(LockHeldError):
        repair.repair(run.files, home=workspace.home.directory)
    if damage is not _empty:  # a starter waits longer for a lock that is held
        request = ResumeRequest(by="another")
        start = Assignment(directory=run.files.directory, home=workspace.home.directory, resume=request)
        with pytest.raises(client.AlreadyRunning):
            client.take().go(start)
    os.kill(holder.pid, signal.SIGCONT)
    eventually(lambda: locks.is_held_by_name(run.files.supervisor_lock))
    assert not run.resume()
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert [event["pid"] for event in events(run) if event["event"] == "supervisor_started"] == [holder.pid]
    assert fsck.examine(run.files, run.spec()).is_sound


def test_a_running_supervisor_takes_its_lock_back(workspace: ExpWorkspace) -> None:
    """Within a second, and its log says so; meanwhile, a resume finds it alive."""
    run = workspace.start({"a": until("go"), "b": {"inline": ":", "dependencies": ["a"]}})
    shim_pid(run, "a")
    holder = locks.read_holder(run.files.supervisor_lock)
    for damage in (_remove, _replace):
        damage(run.files.supervisor_lock)
        assert not run.resume()
        eventually(lambda: locks.named_holder(run.files.supervisor_lock) == holder)
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert run.files.supervisor_log.read_text().count("is locked again") == 2
    assert fsck.examine(run.files, run.spec()).is_sound


def test_without_its_supervisor_nothing_stays_locked(workspace: ExpWorkspace) -> None:
    """A pid that the ledger names proves nothing if its process has no file of the experiment open."""
    run = workspace.start({"a": ":"})
    run.wait(timeout=60)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    me = locks.Holder(pid=os.getppid(), host=locks.hostname(), boot=locks.boot_id(), since="")
    assert not supervision.has_lost_its_lock(run.files, me)
    run.files.supervisor_lock.unlink()
    descriptor = supervision.take(run.files)
    assert descriptor is not None
    os.close(descriptor)


def test_an_attempt_whose_lock_is_removed_runs_once(workspace: ExpWorkspace) -> None:
    """Its processes carry its marker: a resume adopts it, and its result counts."""
    run = workspace.start({"a": f"echo x >>ran; {until('go')}; exit 3"})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    run.files.attempt("a", 1).lock.unlink()
    eventually(lambda: run.status().supervisor == "gone")
    assert run.status().history.tasks["a"].status == "RUNNING"
    assert run.resume()
    workspace.touch("go")
    assert run.wait(timeout=60).history.tasks["a"].exit_code == 3
    assert workspace.lines() == ["x"]
