from __future__ import annotations

import os
import re
import shlex
import signal
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.experiment.run import find
from nemorun_cli.model import wording
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import Exp

FLAKY = """
name: flaky
run: {tail_logs: true}
tasks:
  well: {inline: echo well}
  bad: {inline: "echo try; test -e go", dependencies: [well]}
  after: {inline: echo after, dependencies: [bad]}
"""
WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
  b: {inline: echo next, dependencies: [a]}
"""


def test_it_never_guesses_the_experiment(exp: Exp) -> None:
    """Without an experiment `resume` is wrong usage."""
    assert "EXP" in exp("resume", code=2).stderr


def test_what_succeeded_is_kept_and_the_rest_runs(exp: Exp) -> None:
    """A resume runs what failed and what was skipped, watches it, and ends like a run."""
    exp("run", exp.spec(FLAKY), "-q", code=1)
    (exp.folder / "go").touch()
    told = exp("resume", "flaky")
    assert told.stdout == "bad | try\nafter | after\n"
    assert "well" not in told.stderr
    assert {task["id"]: task["attempt"] for task in exp.status()["tasks"]} == {
        "well": 1,
        "bad": 2,
        "after": 1,
    }


def test_dry_run_gives_a_reason_for_each_task(exp: Exp) -> None:
    """`--dry-run` says what would be done with each task and why, and does nothing."""
    exp("run", exp.spec(FLAKY), "-q", code=1)
    shown = exp("resume", "flaky", "--dry-run").stdout
    assert "it succeeded in attempt 1" in shown
    document = exp("resume", "flaky", "--dry-run", "--json").json
    assert document["schema"] == "exp.resume/1"
    assert [task["action"] for task in document["tasks"]] == ["keep", "run", "run"]
    assert exp("resume", "flaky", "--dry-run", "-q").stdout == "bad\nafter\n"
    assert exp.task("bad")["attempt"] == 1


def test_from_runs_a_task_and_all_below_it_again(exp: Exp) -> None:
    """`--from` runs what succeeded again, with what depends on it."""
    (exp.folder / "go").touch()
    exp("run", exp.spec(FLAKY), "-q")
    assert exp("resume", "flaky", "--from", "bad").stdout == "bad | try\nafter | after\n"
    exp("resume", "flaky", "--from", "nothing", code=3)


def test_nothing_to_do_is_told(exp: Exp) -> None:
    """Resuming what is COMPLETED changes nothing, says so and ends with its exit code."""
    exp("run", exp.spec("name: done\ntasks: {a: {command: 'true'}}\n"), "-q")
    assert "nothing to resume" in exp("resume", "done").stderr


def test_detached_it_prints_the_id(exp: Exp) -> None:
    """`resume -d` prints the id alone and returns."""
    experiment_id = exp("run", exp.spec(FLAKY), "-q", code=1).stdout.splitlines()[0]
    (exp.folder / "go").touch()
    assert exp("resume", "flaky", "-d").stdout == f"{experiment_id}\n"
    exp("wait")


def test_what_still_runs_is_adopted(exp: Exp) -> None:
    """After a kill -9 of the supervisor a resume goes on with the task that still runs."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    os.kill(exp.status()["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: exp.status()["supervisor"]["state"] == "gone")
    process = exp.start("resume", "waiting")
    eventually(lambda: exp.status()["supervisor"]["state"] == "alive")
    (exp.folder / "go").touch()
    assert process.wait(60) == 0
    process.communicate()
    assert exp.task("a")["attempt"] == 1


def test_what_runs_is_only_watched(exp: Exp) -> None:
    """Resuming what is running starts nothing; Ctrl-C ends the watching and not the experiment."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    process = exp.start("resume", "waiting")
    assert process.stderr is not None
    assert "already running" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()
    assert exp.status()["status"] == "RUNNING"
    (exp.folder / "go").touch()
    exp("wait")


def test_another_environment_is_warned_of(exp: Exp) -> None:
    """A PATH that is not the one of the start is told: what runs again may find other programs."""
    exp("run", exp.spec(FLAKY), "-q", code=1)
    told = exp("resume", "flaky", env={"PYTHONPATH": "/elsewhere"}, code=1)
    assert "PYTHONPATH" in told.stderr


def test_a_spec_that_was_edited_is_warned_of(exp: Exp) -> None:
    """A resume keeps the experiment's spec: if the file differs, a warning names it and `--spec`."""
    spec = exp.spec(FLAKY)
    exp("run", spec, "-q", code=1)
    assert "--spec" not in exp("resume", "flaky", "--dry-run").stderr
    spec.write_text(FLAKY + "  # edited\n", encoding="utf-8")
    result = exp("resume", "flaky", "--dry-run", "--json")
    assert result.stderr.startswith(f"exp: warning: {spec}: differs from the spec that flaky_")
    command = re.search(r"exp (resume .* --spec .*)\)", result.stderr)
    assert command is not None
    assert exp(*shlex.split(command[1]), "--dry-run").stderr == ""
    again = exp("resume", "flaky", "--json", code=1)
    assert "differs" in again.stderr
    assert [warning["file"] for warning in again.json["warnings"]] == [str(spec)]
    spec.unlink()
    assert "differs" not in exp("resume", "flaky", "-q", code=1).stderr


def test_durations_are_without_the_pause(exp: Exp) -> None:
    """Text shows how long the experiment ran without the time before its resume; JSON has both."""
    exp("run", exp.spec(FLAKY), "-q", code=1)
    (exp.folder / "go").touch()
    exp("resume", "flaky", "-q")
    shown = exp("show", "flaky", "--json").json
    (pause,) = find("flaky", home=Home(exp.home)).status().history.active_time.pauses
    assert 0 < pause[1] - pause[0] == pytest.approx(shown["duration"] - shown["active"], abs=0.1)
    assert exp("list", "--json").json["experiments"][0]["active"] == shown["active"]
    assert f"(took {wording.seconds(shown['active'])})" in exp("status", "flaky").stdout
    assert all(task["active"] == task["duration"] for task in shown["tasks"])
