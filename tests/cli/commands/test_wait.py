from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.terminals import CTRL_C, Terminal

if TYPE_CHECKING:
    from support.workspace import Exp

WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
"""


def watches_a_process(pid: int) -> bool:
    """Whether a command waits for the end of another process, which is its experiment's supervisor."""
    opened = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            opened.append(str(path.readlink()))
    return "anon_inode:[pidfd]" in opened


@pytest.mark.parametrize(
    ("command", "code", "status"), [("'true'", 0, "COMPLETED"), ("'false'", 1, "FAILED")]
)
def test_the_exit_code_is_that_of_the_end(exp: Exp, command: str, code: int, status: str) -> None:
    """`wait` prints the status and ends with its exit code."""
    exp("run", exp.spec(f"name: x\ntasks: {{a: {{command: {command}}}}}\n"), "-d")
    assert exp("wait", code=code).stdout == f"{status}\n"


def test_it_returns_when_it_is_over(exp: Exp) -> None:
    """`wait` ends with the experiment, not before."""
    exp("run", exp.spec(WAITING), "-d")
    process = exp.start("wait", "waiting")
    eventually((exp.folder / "begun").exists)
    assert process.poll() is None
    (exp.folder / "go").touch()
    assert process.wait(60) == 0
    process.communicate()


def test_a_timeout_is_code_4(exp: Exp) -> None:
    """After `--timeout` the experiment is not over yet, which a document tells too."""
    exp("run", exp.spec(WAITING), "-d")
    assert "still running" in exp("wait", "--timeout", "0.1", code=4).stderr
    document = exp("wait", "--timeout", "0.1", "--json", code=4).json
    assert (document["schema"], document["status"], document["ended"]) == ("exp.wait/1", "RUNNING", None)
    exp("wait", "--timeout", "never", code=2)
    exp("cancel", "waiting")
    assert exp("wait", "--json", code=5).json["status"] == "CANCELLED"


def test_it_is_left_with_ctrl_c(exp: Exp) -> None:
    """Ctrl-C while waiting is exit code 130, and the experiment goes on."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    terminal = Terminal([*exp.argv, "wait"], env=exp.env, cwd=exp.folder)
    eventually(lambda: watches_a_process(terminal.process.pid))
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert exp.status()["status"] == "RUNNING"
    exp("cancel", "waiting")
