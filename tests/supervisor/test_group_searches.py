"""Searches whose trials are groups of tasks, on real processes: crashes, prunes, failures and resumes."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.killed_searches import LOSS, X, killed
from support.patience import eventually
from support.workspace import kill_supervisor, log, until

from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

RAN = 'echo "$EXP_TASK $EXP_ATTEMPT" >>ran\n'
CURVE = """\
for step in 1 2 3; do
    echo "step=$step $(echo "$1 $step" | awk '{ printf "loss=%.17g", ($1 - 0.3) ^ 2 / $2 }')"
done
echo "model=of-$1" >>"$EXP_OUTPUT"
"""
MODEL = "${{ tasks['tune/train'].outputs.model }}"


def tuned(train: str = CURVE, evaluate: str = ":", *, metrics: Any = LOSS, **keys: Any) -> dict[str, Any]:
    """A search whose trials train and evaluate, one after the other."""
    rule = {"params": {"x": X}, "metric": "loss", "goal": "minimize", "sampler": "random", "seed": 7}
    return {
        "group": [
            {"name": "train", "inline": RAN + train, "args": ["${{ search.x }}"], "metrics": metrics},
            {"name": "evaluate", "dependencies": ["train"], "inline": RAN + evaluate, "args": [MODEL]},
        ],
        "search": {**rule, "max_parallel": 1, **keys},
    }


def study_of(run: Run) -> list[tuple[Any, ...]]:
    """What the ledger has of the study, in its order."""
    study = run.status(observe=False).history.studies["tune"]
    return [(type(entry).__name__, entry) for entry in study.order]


def ends(run: Run) -> dict[str, tuple[str, str | None]]:
    """The status and the reason of each task, by what its id has after that of the group."""
    tasks = run.status().history.tasks
    return {
        name.removeprefix("tune/trial-000"): (str(state.status), state.reason)
        for name, state in tasks.items()
    }


STUDY: dict[str, Any] = {
    "tune": tuned(
        trials=8,
        sampler="cmaes",
        params={"x": X, "y": X},
        pruner={"type": "median", "startup_trials": 1},
    ),
    "use": {
        "inline": 'echo "$@"',
        "args": [f"${{{{ tasks.tune.best.{key} }}}}" for key in ("id", "params.x", "outputs.model", "dir")],
        "dependencies": ["tune"],
    },
}
POINTS = [point for point in crashpoints.POINTS if point.startswith("search.")]


if IS_LONG:

    def test_killed_at_each_point(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
        """Killed around each event, it has the suggestions, results and best of one that was not killed."""
        whole = workspace.start(STUDY)
        assert whole.wait(timeout=60).status is ExperimentStatus.COMPLETED
        best, _, model, folder = log(whole, "use").split()
        assert best.startswith("tune/trial-")
        assert model.startswith("of-")
        assert folder == str(whole.files.task(best))
        assert {reason for _, reason in ends(whole).values()} == {None, "pruned"}
        trained = [line for line in workspace.lines() if "train" in line]
        (workspace.folder / "ran").unlink()
        run = None
        for point in POINTS:
            run = killed(workspace, monkeypatch, run, f"{point}:1", tasks=STUDY)
        assert run is not None
        run.resume()
        assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
        assert study_of(run) == study_of(whole)
        assert [line for line in workspace.lines() if "train" in line] == trained
        assert log(run, "use").split()[:3] == [best, *log(whole, "use").split()[1:3]]
        assert run.status().history.ignored == []

    @pytest.mark.parametrize("seed", range(3))
    def test_killed_at_random(workspace: ExpWorkspace, seed: int) -> None:
        """Killed ten times at any moment, a study is that of one that was not killed."""
        tune = tuned(
            CURVE.replace("done", "sleep 0.05\ndone"),
            "sleep 0.05",
            params={"x": X, "y": {"type": "int", "low": 1, "high": 9}},
            trials=16,
            sampler="tpe",
            pruner={"type": "asha", "reduction_factor": 2},
        )
        whole = workspace.start({"tune": tune})
        assert whole.wait(timeout=120).status is ExperimentStatus.COMPLETED
        assert "pruned" in {reason for _, reason in ends(whole).values()}
        chosen = random.Random(seed)  # noqa: S311 - the moments are the same each time
        run = workspace.start({"tune": tune})
        for _ in range(10):
            time.sleep(chosen.uniform(0, 2))
            with contextlib.suppress(ProcessLookupError):
                kill_supervisor(run)
            run.resume()
        assert run.wait(timeout=120).status is ExperimentStatus.COMPLETED
        assert study_of(run) == study_of(whole)
        assert run.status().history.best == whole.status().history.best
        trained = [line for line in workspace.lines() if "train" in line]
        assert len(trained) == 2 * 16, "no task ran twice"


WORDS = ["good", "bad", "fails", "later"]
KINDS = f"""\
case $1 in
good) echo step=1 loss=1 ;;
bad) echo step=1 loss=9; {until("never")} ;;
fails) [ -e mended ] || exit 3; echo step=1 loss=2 ;;
later) echo step=1 loss=3 ;;
esac
echo model=$1 >>"$EXP_OUTPUT"
"""
EVALUATE = f"[ $1 = later ] && [ $EXP_ATTEMPT = 1 ] && {until('never')}; echo score=1"


def test_how_trials_end(workspace: ExpWorkspace) -> None:
    """The worst of its tasks is the end of a trial; a resume continues one that was interrupted."""
    given = {"params": {"x": WORDS}, "start_with": [{"x": word} for word in WORDS], "trials": len(WORDS)}
    tune = tuned(KINDS, EVALUATE, **given, pruner={"type": "threshold", "upper": 5})
    tune["group"].append({"name": "watch", "inline": f"[ $X != bad ] || {until('never')}"})
    tune["group"][2]["env"] = {"X": "${{ search.x }}"}
    use = {
        "inline": "echo ${{ tasks.tune.best.params.x }}",
        "dependencies": ["tune"],
        "dependency_type": "afterany",
    }
    run = workspace.start({"tune": tune, "use": use}, run={"max_parallel": 4})
    eventually(lambda: "tune/trial-0004/evaluate 1" in workspace.lines())
    run.cancel(["tune"])
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.FAILED
    assert ends(run) == {
        "1/train": ("SUCCEEDED", None),
        "1/evaluate": ("SUCCEEDED", None),
        "1/watch": ("SUCCEEDED", None),
        "2/train": ("SUCCEEDED", "pruned"),
        "2/evaluate": ("SKIPPED", "pruned"),
        "2/watch": ("SUCCEEDED", "pruned"),
        "3/train": ("FAILED", "exit"),
        "3/evaluate": ("SKIPPED", "dependency"),
        "3/watch": ("SUCCEEDED", None),
        "4/train": ("SUCCEEDED", None),
        "4/evaluate": ("CANCELLED", "cancelled"),
        "4/watch": ("SUCCEEDED", None),
        "use": ("SUCCEEDED", None),
    }
    study = final.history.studies["tune"]
    assert [(each.number, str(each.outcome), each.message) for each in study.results.values()] == [
        (1, "complete", None),
        (2, "pruned", "9 is above upper 5"),
        (3, "failed", "failed: train is FAILED: exit code 3"),
    ]
    assert study.results[2].pruned_value == 9
    assert study.deciders == {
        1: "tune/trial-0001/train",
        2: "tune/trial-0002/train",
        3: "tune/trial-0003/train",
    }
    said = workspace.exp("why", run.id, "tune/trial-0002/evaluate").stdout
    assert "\n  train of its trial was pruned: 9 is above upper 5\n" in said
    (group,) = final.to_json()["groups"]
    assert (group["members"], group["done"], group["pruned"]) == (12, 6, 3)
    ran = workspace.lines()
    workspace.touch("mended")
    run.resume(below=["tune/trial-0003/train"])
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED
    assert sorted(workspace.lines()[len(ran) :]) == [
        "tune/trial-0003/evaluate 1",
        "tune/trial-0003/train 2",
        "tune/trial-0004/evaluate 2",
    ]
    assert {number: each.values for number, each in final.history.studies["tune"].results.items()} == {
        1: (1,),
        2: None,
        3: (2,),
        4: (3,),
    }
    assert final.history.best["tune"].winner == "tune/trial-0001/train"
    assert workspace.exp("fsck", run.id).code == 0


def test_a_trial_is_pruned_whatever_else_was_cancelled(workspace: ExpWorkspace) -> None:
    """Later suggestions know that it was pruned, and not that it failed."""
    train = f"{until('cancelled')}; echo step=1 loss=9; {until('never')}"
    tune = tuned(train, params={"x": [9]}, trials=1, pruner={"type": "threshold", "upper": 5})
    tune["group"][1] = {"name": "watch", "inline": RAN + until("never")}
    run = workspace.start({"tune": tune})
    eventually(lambda: "tune/trial-0001/watch 1" in workspace.lines())
    run.cancel(["tune/trial-0001/watch"])
    workspace.touch("cancelled")
    final = run.wait(timeout=60)
    assert ends(run) == {"1/train": ("SUCCEEDED", "pruned"), "1/watch": ("CANCELLED", "cancelled")}
    study = final.history.studies["tune"]
    assert (str(study.results[1].outcome), study.results[1].pruned_value) == ("pruned", 9)
    assert study.deciders == {1: "tune/trial-0001/train"}
