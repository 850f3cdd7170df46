"""A ledger that another program changes while its supervisor lives: nothing more is written, nothing lost."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import events, shim_pid, status, until

from nemorun_cli.experiment.maintenance import fsck
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import requests
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

EARS = """
class Ears:
    def on_event(self, event, run):
        with open("heard", "a") as stream:
            print(event["event"], file=stream)
"""


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(b"XXXX")


def _put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _put_another(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes().replace(b'"tried"', b'"TRIED"'))
    copy.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


def _put_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def _begun(workspace: ExpWorkspace, **header: object) -> Run:
    run = workspace.start(
        {
            "a": f"echo a >>ran; {until('go')}",
            "b": {"inline": "echo b >>ran", "dependencies": ["a"]},
            "c": {"inline": "echo c >>ran", "dependencies": ["b"]},
        },
        **header,
    )
    shim_pid(run, "a")
    eventually(lambda: status(run, "a") == "RUNNING")
    return run


@pytest.mark.parametrize("damage", [_empty, _shorten, _overwrite, _put_a_folder, _put_another])
def test_a_supervisor_ends_when_its_ledger_is_damaged(
    workspace: ExpWorkspace, damage: Callable[[Path], None]
) -> None:
    """Its log has the reason; every command names the repair, after which a resume adopts what runs."""
    run = _begun(workspace)
    damage(run.files.ledger)
    requests.wake(run.files)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    log = run.files.supervisor_log.read_text()
    assert f" ended: {run.files.ledger}" in log
    assert "running tasks continue; check what is readable with: exp fsck" in log
    assert "Traceback" not in log
    for command in ("status", "cancel", "resume"):
        assert f"exp fsck {run.id}; rebuild with --repair" in workspace.exp(command, run.id, code=7).stderr
    workspace.exp("fsck", run.id, code=7)
    workspace.exp("fsck", run.id, "--repair")
    assert status(run, "a") == "RUNNING"
    assert run.resume()
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a", "b", "c"]
    assert fsck.examine(run.files, run.spec()).is_sound


@pytest.mark.parametrize("change", [_remove, _put_a_copy])
def test_a_ledger_that_can_be_kept_whole_is(workspace: ExpWorkspace, change: Callable[[Path], None]) -> None:
    """One that was removed is restored from its open descriptor, and an equal copy is continued."""
    run = _begun(workspace)
    before = run.files.ledger.read_bytes()
    for _ in range(2):
        change(run.files.ledger)
        requests.wake(run.files)
        eventually(run.files.ledger.exists)
        assert run.files.ledger.read_bytes() == before
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert run.files.ledger.read_bytes().startswith(before)
    assert [event["event"] for event in events(run)].count("supervisor_started") == 1
    assert fsck.examine(run.files, run.spec()).is_sound


def test_a_ledger_is_not_restored_while_its_folder_is_being_removed(workspace: ExpWorkspace) -> None:
    """For a moment its supervisor writes nothing, so that a removal of the whole folder succeeds."""
    run = _begun(workspace)
    run.files.ledger.unlink()
    requests.wake(run.files)
    time.sleep(0.2)
    assert not run.files.ledger.exists()
    shutil.rmtree(run.directory)
    workspace.touch("go")
    eventually(lambda: not workspace.processes())
    assert not run.directory.exists()


def test_a_repair_ends_a_supervisor_that_noticed_nothing(workspace: ExpWorkspace) -> None:
    """It reads all again when a repair asks, even if the damage left no trace; its plugins are notified."""
    (workspace.folder / "ears.py").write_text(EARS)
    run = _begun(workspace, plugins=[{"uses": "ears:Ears"}])
    eventually(lambda: "started" in workspace.lines("heard"))
    before = run.files.ledger.stat()
    _overwrite(run.files.ledger)
    os.utime(run.files.ledger, ns=(before.st_atime_ns, before.st_mtime_ns))
    workspace.exp("cancel", run.id, code=7)
    workspace.exp("fsck", run.id, "--repair")
    assert " ended: " in run.files.supervisor_log.read_text()
    eventually(lambda: workspace.lines("heard")[-1] == "supervisor_gone")
    assert run.cancel(grace=0).status is ExperimentStatus.CANCELLED


def test_writers_that_find_another_lock_file_exclude_each_other(workspace: ExpWorkspace) -> None:
    """`ledger.lock` may be removed at any time: whoever has it open locks the file that has its name."""
    run = _begun(workspace)
    run.files.ledger_lock.unlink()
    descriptor = locks.take(run.files.ledger_lock)
    assert descriptor is not None
    size = run.files.ledger.stat().st_size
    workspace.touch("go")
    eventually(run.files.attempt("a", 1).exit.exists)
    assert run.files.ledger.stat().st_size == size
    os.close(descriptor)
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert fsck.examine(run.files, run.spec()).is_sound
