"""Searches on real processes: crashes, failures, pruned trials, cancels and resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import events, log

from nemorun_cli.errors import ExpError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import events as kinds
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    import pytest
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

LOSS = {"train": r"step=(?P<step>\d+) loss=(?P<loss>\S+)"}
CURVE = """\
echo "$EXP_TASK $EXP_ATTEMPT" >>ran
for step in 1 2 3; do
    echo "step=$step $(echo "$1 $step" | awk '{ printf "loss=%.17g", ($1 - 0.3) ^ 2 / $2 }')"
done
"""
X = {"type": "float", "low": -1, "high": 1}


def search(script: str = CURVE, *args: str, **keys: Any) -> dict[str, Any]:
    """A search that looks for the `x` with the smallest loss."""
    rule = {"params": {"x": X}, "metric": "loss", "goal": "minimize", "sampler": "random", "seed": 7}
    return {
        "inline": script,
        "args": args or ["${{ search.x }}"],
        "metrics": LOSS,
        "search": {**rule, "max_parallel": 1, **keys},
    }


def of_search(run: Run, *wanted: str) -> list[dict[str, Any]]:
    """The events of these kinds (default: both of a search), without what differs between runs."""
    names = wanted or (kinds.SUGGESTED, kinds.TRIAL_ENDED)
    found = [each for each in events(run) if each["event"] in names]
    return [{key: value for key, value in each.items() if key not in {"time", "by"}} for each in found]


def killed(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, run: Run | None, moment: str) -> Run:
    """The experiment, started or resumed, after its supervisor has died at a moment."""
    with monkeypatch.context() as patch:
        patch.setenv(crashpoints.VARIABLE, moment)
        try:
            if run is None:
                run = workspace.start(STUDY)
            else:
                run.resume()
        except ExpError:
            run = find(home=workspace.home)
    eventually(lambda: run.status(observe=False).supervisor in {"gone", "ended"})
    return run


STUDY: dict[str, Any] = {
    "train": search(
        params={"x": X, "y": X},
        trials=12 if IS_LONG else 6,
        sampler="cmaes",
        pruner={"type": "median", "startup_trials": 1},
    ),
    "use": {
        "command": ["echo", "${{ tasks.train.best.id }}", "${{ tasks.train.best.params.x }}"],
        "dependencies": ["train"],
    },
}
POINTS = [point for point in crashpoints.POINTS if point.startswith("search.")]


def test_killed_at_each_point(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed around each event, a study has the suggestions, results and best of one that was not killed."""
    whole = workspace.start(STUDY)
    assert whole.wait(timeout=60).status is ExperimentStatus.COMPLETED
    expected = of_search(whole)
    assert "pruned" in {each.get("outcome") for each in expected}
    assert len(of_search(whole, kinds.SUGGESTED)) == STUDY["train"]["search"]["trials"]
    ran = workspace.lines()
    (workspace.folder / "ran").unlink()
    run = None
    for point in POINTS:
        run = killed(workspace, monkeypatch, run, f"{point}:1")
    assert run is not None
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert len(of_search(run, kinds.SUPERVISOR_STARTED)) == len(POINTS) + 1
    assert of_search(run) == expected
    assert (workspace.lines(), log(run, "use")) == (ran, log(whole, "use"))
    assert run.status().history.ignored == []
