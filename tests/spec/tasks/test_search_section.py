"""The key `search` of a task: its trials, its rule in the resolved form, and problems of the spec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.search import ParamKind, SearchParam
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import load
from nemorun_cli.spec.expressions import conditions, evaluate
from nemorun_cli.spec.expressions.syntax import TemplateError

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY: Final = Identity("x_1", "x", "/experiments/x/x_1")
LR: Final = {"type": "float", "low": 0.001, "high": 0.1, "log": True}
SPACE: Final = {
    "optimizer": ["sgd", "adam"],
    "lr": LR,
    "momentum": {"type": "float", "low": 0, "high": 1, "when": "${{ search.optimizer == 'sgd' }}"},
}
SEARCH: Final = {"params": SPACE, "metric": "loss", "goal": "minimize", "trials": 3, "sampler": "random"}


def study(search: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A task with a search."""
    return {"command": ["echo", "${{ search.lr }}"], "search": {**SEARCH, **(search or {})}, **keys}


def resolved(folder: Path, tasks: dict[str, Any], *only: str, **keys: Any) -> Spec:
    path = folder / "spec.yaml"
    path.write_text(json.dumps({"name": "x", "tasks": tasks, **keys}))
    return load.resolve(load.read(path, only=only), IDENTITY)


def problems(folder: Path, tasks: dict[str, Any], **keys: Any) -> list[tuple[str, str, str | None]]:
    """The place, the message and the hint of each problem of a spec."""
    with pytest.raises(SpecError) as caught:
        resolved(folder, tasks, **keys)
    return [(found.path, found.message, found.hint) for found in caught.value.problems]


def test_a_search_is_a_group_of_trials_made_from_one_task(tmp_path: Path) -> None:
    """All trials are tasks from the start, differ in their ids alone, and survive the stored form."""
    spec = resolved(tmp_path, {"train": study({"max_parallel": 2, "timeout": "1h", "seed": 7})})
    (group,) = spec.groups
    assert group.members == ("train/trial-0001", "train/trial-0002", "train/trial-0003")
    assert [task.id for task in spec.tasks] == list(group.members)
    assert [task.index for task in spec.tasks] == [0, 1, 2]
    assert {task.late for task in spec.tasks} == {("/body/1",)}
    assert group.max_parallel == 2
    assert group.best == BestRule(metric="loss", goal=Goal.MINIMIZE)
    rule = group.search
    assert rule is not None
    assert (rule.trials, rule.timeout, rule.seed, rule.sampler) == (3, 3600, 7, "random")
    assert rule.params[0] == SearchParam(name="optimizer", kind=ParamKind.CHOICES, choices=("sgd", "adam"))
    assert rule.params[1] == SearchParam(name="lr", kind=ParamKind.FLOAT, low=0.001, high=0.1, log=True)
    assert rule.params[2].when == "${{ search.optimizer == 'sgd' }}"
    document = spec.to_json()
    assert "members" not in document["groups"][0]
    assert Spec.from_json(json.loads(json.dumps(document))) == spec


def test_a_seed_that_is_not_given_belongs_to_the_experiment(tmp_path: Path) -> None:
    """The seed is the same each time the spec of an experiment is read, and another one for another."""
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({"name": "x", "tasks": {"a": study(), "b": study()}}))
    seeds = []
    for name in ("x_1", "x_1", "x_2"):
        spec = load.resolve(load.read(path), Identity(name, "x", f"/experiments/x/{name}"))
        seeds.append([group.search.seed for group in spec.groups if group.search is not None])
    assert seeds[0] == seeds[1]
    assert len({seed for row in seeds[1:] for seed in row}) == 4


def test_a_trial_is_filled_in_with_its_values(tmp_path: Path) -> None:
    """`search.NAME` is a late value; a param without a value in the trial needs a default."""
    task = study(env={"M": "${{ search.momentum | default(0) }}", "ALL": "${{ search | tojson }}"})
    spec = resolved(tmp_path, {"train": task})
    trial = spec.tasks[1]

    def filled(values: dict[str, Any]) -> Any:
        return evaluate.fill_late(
            trial, spec=spec, identity=IDENTITY, outputs={}, evaluator=_no_helper, search=values
        )

    done = filled({"optimizer": "adam", "lr": 0.01})
    assert done.body == ("echo", "0.01")
    assert done.env == {"M": "0", "ALL": '{"optimizer": "adam", "lr": 0.01}'}
    with pytest.raises(TemplateError, match=r"search\.lr has no value in this trial"):
        filled({"optimizer": "adam"})


def _no_helper(code: str, _: Any) -> Any:
    raise AssertionError(code)


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("${{ search.optimizer == 'sgd' }}", {"optimizer": "sgd"}, "true"),
        ("${{ search.optimizer == 'sgd' }}", {"optimizer": "adam"}, "false"),
        ("${{ search.layers > 2 and search.lr < 0.1 }}", {"layers": 3, "lr": 0.01}, "true"),
        ("${{ search.layers > 2 }}", {}, "false"),
        ("${{ search.layers | default(3) > 2 }}", {}, "true"),
        ("${{ search.big }}", {"big": True}, "true"),
        ("${{ false }}", {}, "false"),
    ],
)
def test_a_condition_is_decided_by_the_values_so_far(
    condition: str, values: dict[str, Any], expected: str
) -> None:
    """What uses a param without a value is false, unless the condition has a default for it."""
    assert conditions.holds(condition, values) is (expected == "true")


@pytest.mark.parametrize(
    "condition", ["${{ search.x }}", "${{ search.x + 1 }}", "${{ search.x > 'a' }}", "x"]
)
def test_a_condition_that_is_no_boolean_is_an_error(condition: str) -> None:
    """A value that is neither true nor false decides nothing."""
    with pytest.raises(TemplateError):
        conditions.holds(condition, {"x": 1})
