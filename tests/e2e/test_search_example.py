"""The example of a search as a real study: killed on the way, in Docker containers, and on Slurm."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import events, kill_supervisor, log, statuses

from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import events as kinds

if TYPE_CHECKING:
    from engines.dockerd import Dockerd
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "specs" / "search.yaml"
TRIALS = 60
LONGEST = 1800.0  # seconds of the whole search, one trial after the other
KILLS = 10
SDK = "/sdk"  # where a container has the package, which its image lacks


def start(workspace: ExpWorkspace, **over: Any) -> Run:
    """Start the example with some keys laid over it."""
    (workspace.folder / "own.json").write_text(json.dumps({"extends": str(EXAMPLE), **over}))
    workspace.exp("run", "own.json", "-d")
    return find(home=workspace.home)


def study_of(run: Run) -> list[dict[str, Any]]:
    """The suggestions and the results of a search in order, without what differs between runs."""
    found = [each for each in events(run) if each["event"] in (kinds.SUGGESTED, kinds.TRIAL_ENDED)]
    return [{key: value for key, value in each.items() if key not in {"time", "by"}} for each in found]


def results(run: Run) -> int:
    """How many trials have a result."""
    return sum(each["event"] == kinds.TRIAL_ENDED for each in events(run))


def attempts(run: Run) -> list[tuple[str, int]]:
    """The attempts at trials that were submitted, in order."""
    submitted = [each for each in events(run) if each["event"] == kinds.SUBMITTED]
    return [(each["task"], each["attempt"]) for each in submitted if each["task"].startswith("train/")]


def check(run: Run) -> None:
    """The study is whole: each trial ran once, many were pruned, and its best network reads digits."""
    final = run.wait(timeout=LONGEST)
    failed = [name for name, state in statuses(final).items() if state == "FAILED"]
    assert not failed, log(run, failed[0])
    assert final.status is ExperimentStatus.COMPLETED
    assert set(statuses(final).values()) == {"SUCCEEDED"}
    assert sorted(attempts(run)) == [(f"train/trial-{number:04d}", 1) for number in range(1, TRIALS + 1)]
    found = final.history.studies["train"].results.values()
    values = [each.values[0] for each in found if each.values is not None]
    assert TRIALS - len(values) == sum(each.pruned_at is not None for each in found) > 5
    best = final.history.best["train"]
    assert best.value == min(values) < 0.2
    assert final.history.tasks["test"].outputs["accuracy"] > 0.95


if IS_LONG:

    @pytest.mark.timeout(2 * LONGEST)
    def test_killed_ten_times(workspace: ExpWorkspace) -> None:
        """Killed ten times, a study with one worker has the suggestions, results and best of a whole one."""
        whole, killed = (start(workspace, run={"max_parallel": 1}) for _ in range(2))
        moments = random.Random(7)  # noqa: S311 - the same each time
        for kill in range(1, KILLS + 1):
            eventually(lambda: results(killed) >= kill * 5, within=LONGEST)  # noqa: B023 - called at once
            time.sleep(moments.uniform(0, 2))  # anywhere in a trial
            kill_supervisor(killed)
            killed.resume()
        check(whole)
        check(killed)
        assert study_of(killed) == study_of(whole)
        assert attempts(killed) == attempts(whole)
        assert killed.status().history.best == whole.status().history.best

    @pytest.mark.timeout(2 * LONGEST)
    def test_in_containers(workspace: ExpWorkspace, docker_engine: Dockerd) -> None:
        """The same spec runs in Docker containers, with Debian's Python and scikit-learn."""
        docker_engine.run("sklearn")
        volumes = [f"{ROOT / 'nemorun_cli'}:{SDK}/nemorun_cli:ro", f"{EXAMPLE.parent}:{EXAMPLE.parent}:ro"]
        box = {
            "type": "docker",
            "image": "exp-test/sklearn",
            "pull": "never",
            "network": "none",
            "volumes": volumes,
        }
        check(start(workspace, executors={"box": box}, executor="box", env={"PYTHONPATH": SDK}))

    @pytest.mark.timeout(2 * LONGEST)
    @pytest.mark.usefixtures("slurm")
    def test_on_slurm(workspace: ExpWorkspace) -> None:
        """The same spec runs as Slurm jobs."""
        path = {"PATH": os.environ["PATH"]}  # jobs have the cluster's own
        check(start(workspace, executors={"cluster": {"type": "slurm"}}, executor="cluster", env=path))
