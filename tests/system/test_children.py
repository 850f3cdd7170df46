"""Who reaps a process takes its exit code: supervisors reap orphans, and nothing that another part awaits."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.executors.background_commands import LocalCommand
from nemorun_cli.executors.local import LocalExecutor
from nemorun_cli.spec.expressions.helper import Helper
from nemorun_cli.system import children

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process inherits orphans, as supervisors do."""
    children.inherit_orphans()
    yield
    children.inherit_orphans(enabled=False)


def wait_for_end(pid: int) -> None:
    """Wait until a child has ended, and leave it unreaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def poll() -> None:
    """What the executor of local tasks does in a turn."""
    assert list(LocalExecutor("local", {}, {}).poll({})) == []


def test_failed_command_of_slurm_stays_failed(subreaper: None) -> None:
    """A turn of the local executor between the end of a command and its answer does not change the answer."""
    del subreaper
    command = LocalCommand(["sh", "-c", "echo no >&2; exit 3"], dict(os.environ))
    wait_for_end(command._process.pid)
    poll()
    answer = command.answer()
    assert answer is not None
    assert (answer.code, answer.complaint) == (3, "no")
    assert children._kept == set()


def test_command_that_was_left_to_itself_is_reaped(subreaper: None) -> None:
    """Once nobody waits for a command any more it is a child like any orphan."""
    del subreaper
    command = LocalCommand(["true"], dict(os.environ))
    pid = command._process.pid
    command.close()
    wait_for_end(pid)
    poll()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_process_of_expressions_is_left_to_its_owner(subreaper: None) -> None:
    """Its group is killed when it is closed, so that its pid must not have become that of another process."""
    del subreaper
    with Helper() as helper:
        assert helper.evaluate("1 + 1", {}) == 2
        assert helper._process is not None
        pid = helper._process.pid
        os.kill(pid, 9)
        wait_for_end(pid)
        poll()
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None
    assert children._kept == set()


def test_orphan_of_a_task_is_reaped(subreaper: None) -> None:
    """What a task left in a session of its own does not stay a zombie."""
    del subreaper
    own = children.all_pids()
    subprocess.run(["sh", "-c", "setsid true &"], check=True)
    eventually(lambda: not poll() and children.all_pids() <= own)


def test_program_that_looks_at_experiments_keeps_its_children() -> None:
    """In a process that is no supervisor, such as a notebook, nothing is reaped."""
    child = subprocess.Popen(["sh", "-c", "exit 7"], start_new_session=True)
    wait_for_end(child.pid)
    poll()
    assert child.wait() == 7
