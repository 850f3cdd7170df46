"""Processes that work for a supervisor: they never make it wait, and end with all that they started."""

from __future__ import annotations

import resource
import select
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.patience import PATIENCE, eventually

from nemorun_cli.supervisor.helper_process import HelperProcess, HelperStarter

if TYPE_CHECKING:
    from pathlib import Path

ECHO = """\
import os, subprocess, sys
if "child" in sys.argv:
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    print(f'{{"child": {child.pid}}}', flush=True)
print("printed by a module")
print("[]")
print("{}", flush=True)
for line in sys.stdin:
    os.write(1, line.encode())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that prints what is no answer, and then returns each line that it gets."""
    (tmp_path / "echoing_helper.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "echoing_helper"


def answers(process: HelperProcess, poll: select.poll, *, count: int) -> list[dict[str, Any]]:
    """That many objects, after waits only until the process is ready."""
    found: list[dict[str, Any]] = []
    while len(found) < count and not process.has_ended:
        assert poll.poll(PATIENCE * 1000)
        found += process.exchange()
    return found


def test_a_line_that_fills_the_pipe_does_not_wait(module: str) -> None:
    """It follows as the process takes it, in order; the input ends after the last one."""
    poll = select.poll()
    process = HelperProcess(module, poll=poll)
    psutil.Process(process.pid).suspend()
    sent = [{"n": 1, "text": "x" * 300_000}, {"n": 2}]
    process.send(sent[0])
    process.send(sent[1], is_last=True)
    psutil.Process(process.pid).resume()
    assert answers(process, poll, count=2) == sent
    assert answers(process, poll, count=1) == []
    assert (process.has_ended, process.reap()) == (True, 0)
    assert poll.poll(0) == []


def test_a_stopped_process_takes_along_what_it_started(module: str) -> None:
    """Its descendants are in its session."""
    poll = select.poll()
    process = HelperProcess(module, "child", poll=poll)
    ((entry),) = answers(process, poll, count=1)
    assert process.stop() == -9
    eventually(
        lambda: not psutil.pid_exists(entry["child"]) or psutil.Process(entry["child"]).status() == "zombie"
    )


def test_without_descriptors_a_process_is_started_later(module: str) -> None:
    """The lack is reported once, and no attempt is made before the time to retry."""
    reports: list[str] = []
    starter = HelperStarter(module, does="echoes", poll=select.poll(), report=reports.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert starter.start() is None
        assert starter.start() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (message,) = reports
    assert message.startswith("the process that echoes cannot be started yet: ")
    process = eventually(starter.start)
    assert process.stop() == -9
