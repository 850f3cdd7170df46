"""A supervisor that lives and does not respond: every command names it, and `cancel` does not wait for it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import attempt, shim_pid, until

from nemorun_cli.experiment import cancel
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import requests, supervision
from nemorun_cli.system import locks, pids
from nemorun_cli.views.follow import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

FREEZERS = {"v1": ("freezer.state", "FROZEN", "THAWED"), "v2": ("cgroup.freeze", "1", "0")}


@pytest.fixture
def stopped(workspace: ExpWorkspace) -> Iterator[tuple[Run, int]]:
    """An experiment whose supervisor was stopped before one of its tasks failed; it continues afterwards."""
    run = workspace.start(
        {
            "ends": {"inline": f'echo "x=1" >>"$EXP_OUTPUT"; {until("end")}; exit 3'},
            "runs": until("go"),
            "waits": {"inline": ":", "dependencies": ["runs"]},
        }
    )
    for name in ("ends", "runs"):
        shim_pid(run, name)
    eventually(lambda: run.status().history.tasks["runs"].status == "RUNNING")
    holder = run.status(observe=False).holder
    assert holder is not None
    os.kill(holder.pid, signal.SIGSTOP)
    eventually(lambda: pids.halt(holder.pid) == "stopped")
    workspace.touch("end")
    eventually(lambda: attempt(run, "ends").exit.exists() and not _holds_its_lock(run, "ends"))
    yield run, holder.pid
    with contextlib.suppress(ProcessLookupError):  # the test let it finish
        os.kill(holder.pid, signal.SIGCONT)
    workspace.touch("go")
    assert run.wait(timeout=60).status in (ExperimentStatus.FAILED, ExperimentStatus.CANCELLED)


def _holds_its_lock(run: Run, name: str) -> bool:
    return locks.is_held(attempt(run, name).lock)


def test_every_view_names_a_stopped_supervisor(workspace: ExpWorkspace, stopped: tuple[Run, int]) -> None:
    """The attempts' own records count meanwhile; nothing is written, and what runs counts as unsupervised."""
    run, pid = stopped
    before = run.files.ledger.read_bytes()
    document = workspace.exp("status", "latest", "--json").json
    assert document["status"] == "RUNNING"
    assert document["supervisor"] == {
        "state": "alive",
        "pid": pid,
        "host": os.uname().nodename,
        "problem": None,
        "responding": False,
    }
    ends, runs, waits = document["tasks"]
    assert (ends["status"], ends["exit_code"], ends["outputs"]) == ("FAILED", 3, {"x": "1"})
    assert "exit record" in ends["evidence"]
    assert (runs["status"], waits["status"]) == ("RUNNING", "PENDING")
    assert "does not respond" in runs["evidence"]
    for argv in (["status"], ["show"], ["why", "latest", "runs"], ["why", "latest", "waits"]):
        shown = workspace.exp(*argv).stdout
        assert f"does not respond: process {pid}" in shown
        assert f"kill -CONT {pid}" in shown
    assert "starting next" not in workspace.exp("why", "latest", "waits").stdout
    assert f"process {pid}" in workspace.exp("why", "latest").stderr  # of the task that has failed
    assert f"!!  experiment {run.id}" in workspace.exp("doctor", "latest", code=None).stdout
    assert workspace.exp("show", "--json").json["supervisor"]["responding"] is False
    assert workspace.exp("list", "--json").json["experiments"][0]["responding"] is False
    assert f"process {pid}" in workspace.exp("list").stderr
    assert run.files.ledger.read_bytes() == before


def test_what_waits_for_a_stopped_supervisor_says_so_once(
    workspace: ExpWorkspace, stopped: tuple[Run, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cancel` ends with 4 and the way out; `wait` and `logs -f` say it once, and that it responds again."""
    run, pid = stopped
    monkeypatch.setattr(cancel, "STALL_WAIT", 0.2)
    waited = workspace.exp("wait", "latest", "--timeout", "1.3s", code=4)
    assert waited.stderr.count(f"does not respond: process {pid}") == 1
    followed = workspace.exp("logs", "latest", "ends", "-f")
    assert followed.stderr.count(f"does not respond: process {pid}") == 1
    refused = workspace.exp("cancel", "latest", code=4)
    assert f"does not respond: process {pid}; the cancel is recorded, but not carried out" in refused.stderr
    assert f"kill -CONT {pid}; or end it: kill -9 {pid}" in refused.stderr
    assert f"then cancel again: exp cancel {run.id}" in refused.stderr
    with Watch(run.files, run.home) as watching:
        watching.look()
        requests.request(run.files, ["runs"])  # events of other writers are no sign of life
        assert watching.look().is_responding is False
    messages: list[str] = []
    resumption = threading.Timer(0.3, os.kill, [pid, signal.SIGCONT])
    resumption.start()
    assert run.wait(timeout=60, report=messages.append).status is ExperimentStatus.CANCELLED
    resumption.join()
    assert "does not respond" in messages[0]
    assert len(messages) <= 2


def test_killing_a_stopped_supervisor_is_a_way_out(workspace: ExpWorkspace) -> None:
    """As the message says: `kill -9`, and `cancel` again ends the tasks without it."""
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    os.kill(holder.pid, signal.SIGSTOP)
    eventually(lambda: pids.halt(holder.pid) == "stopped")
    assert run.status().is_responding is False
    os.kill(holder.pid, signal.SIGKILL)
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    snapshot = run.cancel(grace=0)
    assert (snapshot.status, snapshot.is_responding) == (ExperimentStatus.CANCELLED, None)


def test_a_supervisor_that_reads_no_request_does_not_respond(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever holds it up: a request that it has not read for some seconds is the evidence."""
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    assert run.status().is_responding
    os.kill(holder.pid, signal.SIGSTOP)
    eventually(lambda: pids.halt(holder.pid) == "stopped")
    requests.wake(run.files)
    monkeypatch.setattr(pids, "halt", lambda _: None)  # as for one that hangs in a system call
    assert supervision.stall(run.files, holder) is None
    monkeypatch.setattr(supervision, "RESPONSE_WAIT", 0.05)
    time.sleep(0.06)
    assert run.status().stall == "silent"
    os.kill(holder.pid, signal.SIGCONT)
    eventually(lambda: run.status().is_responding)
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


@pytest.mark.parametrize(("file", "freeze", "thaw"), FREEZERS.values(), ids=FREEZERS)
def test_a_frozen_cgroup_is_told_from_a_stopped_process(
    workspace: ExpWorkspace, file: str, freeze: str, thaw: str
) -> None:
    """A process that the freezer holds looks asleep; its cgroup shows that it cannot run."""
    group = _group_with(file)
    run = workspace.start({"a": until("go")})
    shim_pid(run, "a")
    holder = run.status(observe=False).holder
    assert holder is not None
    _write(group / "cgroup.procs", str(holder.pid))
    _write(group / file, freeze)
    try:
        eventually(lambda: run.status().stall == "frozen")
        assert "thaw its cgroup" in workspace.exp("status").stdout
        assert "kill -CONT" not in workspace.exp("status").stdout
    finally:
        _write(group / file, thaw)
    _write(group.parent / "cgroup.procs", str(holder.pid))
    group.rmdir()
    workspace.touch("go")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def _group_with(file: str) -> Path:
    """A new cgroup that can be frozen by this file."""
    for root in (pids.CGROUPS, pids.CGROUPS / "unified", pids.CGROUPS / "freezer"):
        group = root / f"exp-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / file).exists():
            return group
        group.rmdir()
    pytest.skip(f"NOT TRIED: no cgroup with {file} can be created here")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii")


def test_what_runs_or_is_gone_is_not_halted() -> None:
    """Only a process that exists and cannot run is reported."""
    assert pids.halt(os.getpid()) is None
    assert pids.halt(2**22 + 1) is None


def test_cancel_waits_as_long_as_the_supervisor_responds(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grace period longer than the time of a stall is no stall."""
    monkeypatch.setattr(cancel, "STALL_WAIT", 0.0)
    run = workspace.start({"a": f"trap '' TERM; touch begun; {until('go')}"})
    eventually((workspace.folder / "begun").exists)
    snapshot = run.cancel(grace=0.3)
    assert (snapshot.status, snapshot.history.tasks["a"].exit_code) == (ExperimentStatus.CANCELLED, 137)
