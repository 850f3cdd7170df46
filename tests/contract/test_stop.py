"""Programs that track, groups and sweeps whose tasks stop by a metric, on every executor."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.copied_packages import PACKAGE
from support.extent import IS_LONG

from nemorun_cli.contract.fixtures import PATIENCE, until

if TYPE_CHECKING:
    from nemorun_cli.contract.fixtures import Workspace

PROGRAM = """
import sys, time
from nemorun_cli import Experiment

with Experiment().run as record:
    epoch = 0
    while not record.should_stop():
        epoch += 1
        record.metrics("val").log(loss=float(sys.argv[1]) / epoch, epoch=epoch)
        time.sleep(0.1)
    with open("ended", "a") as file:
        print("saved", file=file)
"""

if IS_LONG:

    @pytest.mark.parametrize("key", ["matrix", "together"])
    def test_members_stop_by_what_they_track(workspace: Workspace, key: str) -> None:
        """Members of a sweep, an array on Slurm, and of a group that starts together stop each by its own."""
        shutil.copytree(PACKAGE, workspace.folder / PACKAGE.name)
        stop = [{"nan": "loss"}, {"metric": "val/loss", "below": 0.2}]
        own = {"inline": PROGRAM, "entrypoint": "python3", "env": {"PYTHONPATH": "."}}
        if key == "matrix":
            task = {**own, "args": ["${{ matrix.x }}"], "matrix": {"x": ["0.5", "nan"]}}
        else:
            task = {"group": [{**own, "args": ["0.5"]}, {**own, "args": ["nan"]}], "together": True}
        tasks = {
            "t": {**task, "stop": stop, "stop_grace": "30s"},
            "after": {"inline": "echo after >>ran", "dependencies": ["t"], "dependency_type": "afterany"},
            "led": {
                "group": [
                    {"name": "leader", **own, "args": ["0.5"], "stop": stop, "stop_grace": "30s"},
                    {"name": "other", "inline": until("never")},
                ],
                "until": "leader",
                "together": key == "together",
            },
        }
        states = workspace.start(tasks, run={"max_parallel": 4}).wait(timeout=PATIENCE * 2).history.tasks
        ends = [(str(state.status), state.reason, state.exit_code) for state in states.values()]
        assert ends[:3] == [("SUCCEEDED", "target", 0), ("FAILED", "diverged", 0), ("SUCCEEDED", None, 0)]
        assert [each[:2] for each in ends[3:]] == [("SUCCEEDED", "target"), ("SUCCEEDED", "until")]
        assert workspace.lines("ended") == ["saved"] * 3
