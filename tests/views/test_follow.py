from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from support.patience import PATIENCE, eventually

from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.storage.paths import Home
from nemorun_cli.views.follow import Watch

if TYPE_CHECKING:
    from support.workspace import Exp

WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
"""


def test_a_look_brings_what_is_new(exp: Exp) -> None:
    """Each look gives the events since the one before, and the state that they add up to."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    run = find("waiting", home=Home(exp.home))
    with Watch(run.files, run.home) as watching:
        eventually(lambda: watching.look().history.tasks["a"].status is TaskStatus.RUNNING)
        (exp.folder / "go").touch()
        events: list[str] = []
        while watching.look().status is ExperimentStatus.RUNNING:
            events += [event["event"] for event in watching.news]
            watching.pause()
        events += [event["event"] for event in watching.news]
    assert events[:2] == ["ended", "finished"]
    exp("wait")


def test_the_end_of_the_supervisor_ends_a_pause(exp: Exp) -> None:
    """A pause ends when the supervisor does, and what runs without it is watched on."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    run = find("waiting", home=Home(exp.home))
    with Watch(run.files, run.home) as watching:
        snapshot = watching.look()
        assert snapshot.holder is not None
        os.kill(snapshot.holder.pid, signal.SIGKILL)
        eventually(lambda: watching.look().supervisor == "gone")
        assert watching.look().status is ExperimentStatus.RUNNING
        (exp.folder / "go").touch()
        end = time.monotonic() + PATIENCE
        while watching.look().status is ExperimentStatus.RUNNING and time.monotonic() < end:
            watching.pause()
        assert watching.look().status is ExperimentStatus.COMPLETED
