"""Promise 4, on real file systems: a full disk and a read-only home lose nothing and overwrite nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.small_disks import full, mount, mounted
from support.workspace import (
    NOTE,
    ExpWorkspace,
    attempt,
    events,
    is_running,
    kill_supervisor,
    log,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.ledger import Ledger, LedgerReader, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

    from nemorun_cli.storage.paths import ExperimentFiles

SIZE = 256  # KiB
PAGE = 4096  # bytes that a tmpfs grants at once


@pytest.fixture
def small(exp: Exp, workspace: ExpWorkspace) -> Iterator[ExpWorkspace]:
    """A workspace whose home is a disk of its own, and a small one."""
    with mounted(exp.home, SIZE):
        yield workspace


def test_ends_on_a_full_disk_are_known_once_there_is_room(small: ExpWorkspace) -> None:
    """Tasks that end while the disk is full keep their true exit codes, and the experiment goes on after."""
    run = small.start(
        {
            "good": f"{NOTE}; {until('gate')}",
            "bad": f"{NOTE}; {until('gate')}; exit 7",
            "after": {"inline": NOTE, "dependencies": ["bad"], "dependency_type": "afternotok"},
        },
        run={"max_parallel": 2},
    )
    eventually(lambda: len(small.lines()) == 2)
    with full(small.home.directory):
        small.touch("gate")
        eventually(lambda: all(attempt(run, name).exit.exists() for name in ("good", "bad")))
        assert not run.status().is_over
    final = run.wait(timeout=60)
    assert statuses(final) == {"good": "SUCCEEDED", "bad": "FAILED", "after": "SUCCEEDED"}
    assert final.history.tasks["bad"].exit_code == 7
    assert sorted(small.lines()) == ["after 1", "bad 1", "good 1"]
    assert final.history.ignored == []


def test_end_on_a_full_disk_is_known_without_a_supervisor(small: ExpWorkspace) -> None:
    """The shim itself goes on trying until its record is written; reading meanwhile tells no lie."""
    run = small.start({"a": f"{NOTE}; {until('gate')}; exit 7"})
    shim = shim_pid(run, "a")
    eventually(small.lines)
    kill_supervisor(run)
    with full(small.home.directory):
        small.touch("gate")
        eventually(attempt(run, "a").exit.exists)
        assert status(run, "a") == "RUNNING"
        assert is_running(shim)
    eventually(lambda: status(run, "a") == "FAILED")
    assert run.status().history.tasks["a"].exit_code == 7


def test_start_on_a_full_disk_is_a_clear_error(small: ExpWorkspace) -> None:
    """Nothing is begun that cannot be written down, and the message says what is wrong and where."""
    small.home.experiments.mkdir()
    with full(small.home.directory):
        with pytest.raises(ExpError, match="No space left"):
            small.start({"a": NOTE})
        done = small.exp("run", small.spec({"a": NOTE}), "-d", code=None)
        assert done.code not in {0, -9}
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
    assert small.lines() == []


def test_cancel_on_a_full_disk_is_a_clear_error(small: ExpWorkspace) -> None:
    """A request that cannot be written down is refused with the reason; the task goes on."""
    run = small.start({"a": f"{NOTE}; {until('gate')}"})
    shim = shim_pid(run, "a")
    eventually(small.lines)
    fill_last_page(run.files)
    with full(small.home.directory):
        with pytest.raises(LedgerError, match="No space left"):
            run.cancel()
        assert is_running(shim)
    small.touch("gate")
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED


def test_supervisor_acts_and_tells_while_the_disk_is_full(small: ExpWorkspace) -> None:
    """What it cannot record keeps it from starting tasks alone; `status` and `why` tell until it can."""
    run = small.start(
        {
            "a": {"inline": f"touch up; {until('never')}", "stop_grace": "0.2s"},
            "b": {"inline": NOTE, "dependencies": ["a"], "dependency_type": "afterany"},
        },
        run={"timeout": "2s"},
    )
    shim = shim_pid(run, "a")
    eventually((small.folder / "up").exists)
    fill_last_page(run.files)
    with full(small.home.directory):
        eventually(lambda: not is_running(shim))
        shown = eventually(lambda: run.status().to_json()["supervisor"]["problem"])
        assert shown == f"cannot write {run.files.ledger}: No space left on device"
        assert f"but {shown}" in small.exp("status", run.id).stdout
        (cause, *_) = small.exp("why", run.id, "a", "--json").json["tasks"][0]["causes"]
        assert (cause["kind"], shown in cause["message"]) == ("ledger", True)
        assert small.exp("resume", run.id, "-d", code=None).code == 0
        checks = small.exp("doctor", run.id, "--json", code=None).json["checks"]
        assert any(shown in check["message"] and check["state"] == "warning" for check in checks)
    final = run.wait(timeout=60)
    assert (statuses(final)["a"], final.history.tasks["a"].reason) == ("CANCELLED", "limit")
    assert final.to_json()["supervisor"]["problem"] is None
    assert final.history.ignored == []


def test_nothing_starts_that_the_ledger_does_not_have(small: ExpWorkspace) -> None:
    """A task that becomes ready while the disk is full starts when there is room, once."""
    run = small.start(
        {"a": until("never"), "b": {"inline": NOTE, "dependencies": ["a"], "dependency_type": "afterany"}}
    )
    shim = shim_pid(run, "a")
    fill_last_page(run.files)
    with full(small.home.directory):
        os.killpg(shim, signal.SIGKILL)
        eventually(lambda: run.status().to_json()["supervisor"]["problem"])
        assert (small.lines(), status(run, "a")) == ([], "RUNNING")
    final = run.wait(timeout=60)
    assert statuses(final) == {"a": "FAILED", "b": "SUCCEEDED"}
    assert final.history.tasks["a"].exit_code in {137, None}  # unknown if one of its processes died last
    assert small.lines() == ["b 1"]


def test_resume_on_a_full_disk_is_a_clear_error(small: ExpWorkspace) -> None:
    """It ends at once, with the reason, and nothing is changed by it."""
    run = small.start({"a": "exit 1"})
    run.wait(timeout=60)
    eventually(lambda: run.status(observe=False).supervisor == "ended")
    fill_last_page(run.files, after="supervisor_ended")
    before = run.files.ledger.read_bytes()
    with full(small.home.directory):
        begin = time.monotonic()
        done = small.exp("resume", run.id, "-d", code=7)
        assert time.monotonic() - begin < 20
    assert f"cannot write {run.files.ledger}: No space left on device" in done.stderr
    assert run.files.ledger.read_bytes().startswith(before)
    assert run.status().status is ExperimentStatus.FAILED
    run.resume()
    assert statuses(run.wait(timeout=60)) == {"a": "FAILED"}


def test_log_that_fills_the_disk_costs_no_exit_code(small: ExpWorkspace) -> None:
    """A task that writes until the disk is full ends as it ends, and that is known once there is room."""
    script = f"{NOTE}; head -c {SIZE * 2048} /dev/zero || echo $? >code; exit 5"
    run = small.start({"a": script})
    eventually(lambda: small.lines("code"))
    assert small.lines("code") == ["1"]
    attempt(run, "a").log.write_bytes(b"")
    assert run.wait(timeout=60).history.tasks["a"].exit_code == 5


def fill_last_page(files: ExperimentFiles, *, after: str = "started") -> None:
    """Leave no room in the block where the ledger ends, which a full disk would still grant it."""
    eventually(lambda: LedgerReader(files.ledger).read()[-1]["event"] == after)
    room = PAGE - files.ledger.stat().st_size % PAGE
    ledger = Ledger(files.ledger, files.ledger_lock)
    empty = len(encode([{"event": "padding", "text": ""}]))
    ledger.append([{"event": "padding", "text": "x" * ((room - empty - 10) % PAGE)}])
    ledger.close()


# -- read-only ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def read_only(home: Path) -> Iterator[None]:
    """Make the home read-only, for everybody, and writable again."""
    mount("--bind", str(home), str(home))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def contents(home: Path) -> dict[str, Any]:
    """Everything that lies under a home."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_read_only_home_is_shown_as_it_is(workspace: ExpWorkspace) -> None:
    """`status`, `list` and `logs` tell the truth from the attempts, write nothing, and end as they should."""
    run = workspace.start(
        {"good": f"echo said; {until('gate')}", "bad": f"{until('gate')}; exit 7"}, run={"max_parallel": 2}
    )
    pids = [shim_pid(run, name) for name in ("good", "bad")]
    kill_supervisor(run)
    workspace.touch("gate")
    eventually(lambda: not any(map(is_running, pids)))
    before = contents(workspace.home.directory)
    with read_only(workspace.home.directory):
        snapshot = run.status()
        assert statuses(snapshot) == {"good": "SUCCEEDED", "bad": "FAILED"}
        assert snapshot.history.tasks["bad"].exit_code == 7
        assert snapshot.status is ExperimentStatus.FAILED
        assert workspace.exp("status", run.id, "--exit-code", code=1)
        assert workspace.exp("wait", run.id, code=1)
        assert "said" in workspace.exp("logs", run.id, "good").stdout
        assert workspace.exp("list").stdout
        for command in (["resume", run.id], ["run", str(workspace.spec({"a": NOTE})), "-d"]):
            done = workspace.exp(*command, code=None)
            assert done.code not in {0, 1, -9}, command
            assert "Traceback" not in done.stderr
            assert "ead-only" in done.stderr
    assert contents(workspace.home.directory) == before
    assert workspace.lines() == []


def test_home_that_became_read_only_under_a_supervisor(workspace: ExpWorkspace) -> None:
    """What ends meanwhile is told by those who read, and written down when that is possible again."""
    run = workspace.start(
        {"a": f"{NOTE}; {until('gate')}; exit 3", "b": {"inline": NOTE, "dependencies": ["a"]}}
    )
    eventually(workspace.lines)
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.FAILED
    before = contents(workspace.home.directory)
    with read_only(workspace.home.directory):
        assert run.status().to_json()["status"] == "FAILED"
        assert not run.cancel().history.cancels
        assert log(run, "a") == ""
    assert contents(workspace.home.directory) == before
    assert events(run)[-1]["event"] in {"finished", "supervisor_ended"}


def test_home_that_is_a_file_is_told(exp: Exp) -> None:
    """A `NEMORUN_HOME` that is no folder is an error of use that names it, for every command."""
    exp.home.write_text("not a folder")
    for command in (
        ["status"],
        ["list"],
        ["run", str(exp.spec("version: 1\ntasks: {a: {inline: ':'}}\n")), "-d"],
    ):
        done = exp(*command, code=2)
        assert str(exp.home) in done.stderr
    assert exp.home.read_text() == "not a folder"
    exp.home.unlink()


def test_home_that_may_not_be_read_is_told(workspace: ExpWorkspace) -> None:
    """Without the right to read it a command says that, and not that there is nothing."""
    run = workspace.start({"a": ":"})
    run.wait(timeout=60)
    folder = workspace.home.experiments
    folder.chmod(0)
    # Even root is bound by modes once it has given up its capabilities.
    bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    try:
        done = subprocess.run(
            [*bound, *workspace.exp.argv, "status", run.id],
            env=workspace.exp.env,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o700)
    assert done.returncode not in {0, 1}
    assert "ermission" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stop_signal", ["TERM", "INT"])
def test_cancel_does_not_wait_for_a_record_that_cannot_be_written(
    workspace: ExpWorkspace, stop_signal: str
) -> None:
    """The shim exits with the task's exit code instead; its grace period is for the task, which has ended."""
    trap = f"trap 'exit 7' {stop_signal}; touch begun; while :; do sleep 0.02; done"
    run = workspace.start({"a": {"inline": trap, "stop_signal": stop_signal, "stop_grace": 50}})
    eventually((workspace.folder / "begun").exists)
    run.files.attempt("a", 1).exit.symlink_to("/dev/full")
    begin = time.monotonic()
    snapshot = run.cancel()
    assert time.monotonic() - begin < 20
    assert (snapshot.history.tasks["a"].status, snapshot.history.tasks["a"].exit_code) == ("CANCELLED", 7)
