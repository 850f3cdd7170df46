"""The key `stop` of tasks: where it comes from, how it is stored, and what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.best import Goal
from nemorun_cli.model.spec import Spec
from nemorun_cli.model.stop_rules import StopRule
from nemorun_cli.replication.masked_spec import masked
from nemorun_cli.spec import load
from nemorun_cli.storage import stored_spec

if TYPE_CHECKING:
    from pathlib import Path

BELOW = {"metric": "loss", "below": 1}


def resolved(tasks: dict[str, Any], **header: Any) -> Spec:
    """The spec of these tasks."""
    return load.validate({"name": "a", **header, "tasks": tasks})


def test_the_nearest_list_counts(tmp_path: Path) -> None:
    """A member's list replaces that of its group, and this one that of `defaults`; `[]` has no condition."""
    patient = {"metric": "val/loss", "patience": 5, "min_delta": 0.1, "goal": "maximize"}
    spec = resolved(
        {
            "plain": {"inline": "x"},
            "g": {
                "group": [{"inline": "x"}, {"inline": "x", "stop": [{"nan": "loss"}, patient]}],
                "stop": BELOW,
            },
            "free": {"inline": "x", "stop": []},
            "m": {
                "inline": "x",
                "matrix": {"limit": [1, 2]},
                "stop": {"metric": "l", "above": "${{ matrix.limit }}"},
            },
        },
        defaults={"stop": {"metric": "loss", "above": 1e-3}},
    )
    below = StopRule(metric="loss", below=1.0)
    assert {task.id: task.stop for task in spec.tasks} == {
        "plain": (StopRule(metric="loss", above=0.001),),
        "g/0": (below,),
        "g/1": (
            StopRule(metric="loss"),
            StopRule(metric="val/loss", patience=5, min_delta=0.1, goal=Goal.MAXIMIZE),
        ),
        "free": (),
        "m/limit=1": (StopRule(metric="l", above=1.0),),
        "m/limit=2": (StopRule(metric="l", above=2.0),),
    }
    document = json.loads(json.dumps(spec.to_json()))
    assert stored_spec.problem(document, tmp_path) is None
    assert Spec.from_json(document).tasks == spec.tasks


def test_a_masked_spec_can_be_read(tmp_path: Path) -> None:
    """A value of the environment is masked in the key of a metric, and no word of a condition changes."""
    stop = {"metric": "${{ env.KEY }}", "patience": 1, "goal": "minimize"}
    spec = resolved({"t": {"inline": "x", "stop": stop}}, env={"KEY": "hidden/loss", "GOAL": "minimize"})
    document = json.loads(masked(spec.to_json()))
    assert stored_spec.problem(document, tmp_path) is None
    (rule,) = Spec.from_json(document).tasks[0].stop
    assert (rule.goal, "hidden" in rule.metric) == (Goal.MINIMIZE, False)


@pytest.mark.parametrize(
    ("stop", "problem"),
    [
        ("{nan: loss, below: 3}", "stop: has nan, with which no other key goes, and below"),
        ("{metric: loss}", "stop: has no condition"),
        ("{metric: loss, above: 1, below: 0}", "stop: has above and below"),
        ("{above: 1}", "stop: names no metric"),
        ("[{nan: loss}, {metric: loss, patience: 3}]", "stop.1: has patience and no goal"),
        ("{metric: loss, above: 1, min_delta: 3}", "stop.min_delta: applies only to patience"),
        (
            "{metric: 'loss:min', below: 1}",
            "stop.metric: ends with :min, but stop has no last, min, max or mean",
        ),
        ("{nan: 'loss:last'}", "stop.nan: ends with :last, but stop has no last, min, max or mean"),
        ("{metrik: loss, below: 3}", "stop.metrik: unknown key 'metrik'"),
        ("{metric: loss, below: .nan}", "stop.below: must be a finite number, of at most 1e18"),
        ("{metric: loss, above: -.inf}", "stop.above: must be a finite number, of at most 1e18"),
        (f"{{metric: loss, above: 1{'0' * 400}}}", "stop.above: must be a finite number, of at most 1e18"),
        ("{metric: loss, below: x}", 'stop.below: must be a number, not "x"'),
        (
            "{metric: loss, patience: 0, goal: minimize}",
            "stop.patience: must be a whole number from 1 on, not 0",
        ),
        ("{metric: loss, patience: 2000000000, goal: minimize}", "stop.patience: must be at most 1000000000"),
        ("{metric: loss, patience: 1, goal: min}", 'stop.goal: must be one of minimize, maximize, not "min"'),
        ("loss", "stop: must be a condition such as {metric: loss, below: 0.1}, or a list of conditions"),
    ],
)
def test_a_wrong_condition_is_one_problem_with_its_place(tmp_path: Path, stop: str, problem: str) -> None:
    """What is wrong is reported once, where it is, and with a remedy if it is not plain."""
    path = tmp_path / "spec.yaml"
    path.write_text(f"name: a\ntasks:\n  t:\n    inline: x\n    stop: {stop}\n")
    with pytest.raises(SpecError) as caught:
        load.validate(path)
    (only,) = caught.value.problems
    assert f"{only.path}: {only.message}".startswith(f"tasks.t.{problem}")


def test_a_partial_runs_direct_without_conditions() -> None:
    """Nothing interrupts a partial in the process of its supervisor, so `stop` would do nothing."""
    with pytest.raises(SpecError) as caught:
        resolved({"t": {"partial": "json:dumps", "args": {"obj": 1}, "stop": BELOW}}, run={"direct": True})
    assert "is not possible with stop of a partial" in caught.value.problems[0].message
