"""`exp attach`: the view of `exp run` for an experiment that another command started."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.patience import eventually
from support.terminals import CTRL_C, Terminal
from support.workspace import kill

if TYPE_CHECKING:
    from support.workspace import Exp

WAITING = """
name: waiting
run: {tail_logs: true}
tasks:
  first: {inline: echo said}
  wait: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done; exit 3", dependencies: [first]}
"""


def begin(exp: Exp) -> str:
    """The id of an experiment whose second task waits for the file `go`."""
    experiment_id = exp("run", exp.spec(WAITING), "-d", "-q").stdout.strip()
    eventually((exp.folder / "begun").exists)
    return experiment_id


def test_ctrl_c_on_a_terminal_ends_only_the_watching(exp: Exp) -> None:
    """The live view shows what runs; Ctrl-C is exit code 130, with the command that would cancel."""
    experiment_id = begin(exp)
    terminal = Terminal([*exp.argv, "attach"], env=exp.env, cwd=exp.folder)
    terminal.until("✓ first: SUCCEEDED")
    terminal.until("1 of 2 finished")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    for text in (
        "✓ first: SUCCEEDED",
        "first | said",
        f"{experiment_id} continues",
        f"exp cancel {experiment_id}",
    ):
        assert text in terminal.seen
    assert exp.status()["status"] == "RUNNING"
    exp("cancel", experiment_id)


def test_elsewhere_it_follows_with_lines(exp: Exp) -> None:
    """Without a terminal there is a line for each change; the exit code is that of the experiment."""
    experiment_id = begin(exp)
    watching = exp.start("attach", experiment_id)
    document = exp.start("attach", experiment_id, "--json")
    assert watching.stderr is not None
    assert f"watching {experiment_id}" in watching.stderr.readline()
    (exp.folder / "go").touch()
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert out == "first | said\n"
    assert "wait: FAILED" in err
    assert f"{experiment_id} FAILED after" in err
    out, _ = document.communicate(timeout=60)
    assert (json.loads(out)["schema"], json.loads(out)["status"]) == ("exp.run/1", "FAILED")
    finished = exp("attach", experiment_id, code=1)
    assert finished.stdout == ""
    assert f"{experiment_id} FAILED" in finished.stderr
    assert "exp why" in finished.stderr
    assert exp("attach", experiment_id, "-q", code=1).stdout == f"{experiment_id}\n"


def test_an_experiment_that_nothing_drives_ends_the_watching(exp: Exp) -> None:
    """Once the supervisor was killed and its last task ended, the watching ends with INTERRUPTED (9)."""
    rest = "  rest: {command: 'true', dependencies: [wait], dependency_type: afterany}\n"
    exp("run", exp.spec(WAITING + rest), "-d")
    eventually((exp.folder / "begun").exists)
    watching = exp.start("attach")
    assert watching.stderr is not None
    watching.stderr.readline()
    kill(exp.status()["supervisor"]["pid"])
    (exp.folder / "go").touch()
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 9
    assert "wait: FAILED" in err
    assert "INTERRUPTED" in exp("attach", code=9).stderr
    exp("attach", "nothing", code=3)
