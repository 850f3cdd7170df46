"""The key `best` of a group, and the uses of its best member: what is a problem of the spec, and where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.scheduler.early_queue import Rules
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")
RULE = {"metric": "loss", "goal": "minimize"}
PLAIN = {"command": ["true"], "dependencies": ["train"]}
SWEEP = {"command": ["true"], "matrix": {"lr": [0.1, 0.2]}, "best": RULE}


def resolved(folder: Path, tasks: dict[str, Any], *only: str) -> Spec:
    path = folder / "spec.yaml"
    path.write_text(json.dumps({"name": "x", "tasks": tasks}))
    return load.resolve(load.read(path, only=only), IDENTITY)


def uses(expression: str, *dependencies: Any, **keys: Any) -> dict[str, Any]:
    """A task that uses the best of another."""
    return {"command": ["echo", f"${{{{ {expression} }}}}"], "dependencies": list(dependencies), **keys}


def problem(folder: Path, tasks: dict[str, Any]) -> tuple[str, str, str | None]:
    """The place, the message and the hint of the only problem of a spec."""
    with pytest.raises(SpecError) as caught:
        resolved(folder, tasks)
    (found,) = caught.value.problems
    return found.path, found.message, found.hint


@pytest.mark.parametrize(
    ("rule", "goal"),
    [
        (RULE, Goal.MINIMIZE),
        ({"metric": "loss:min"}, Goal.MINIMIZE),
        ({"metric": "val/accuracy:max"}, Goal.MAXIMIZE),
        ({"metric": "loss:min", "goal": "maximize"}, Goal.MAXIMIZE),
        ({"metric": "outputs.score", "goal": "maximize"}, Goal.MAXIMIZE),
    ],
)
def test_the_goal_follows_from_an_extreme(tmp_path: Path, rule: dict[str, str], goal: Goal) -> None:
    """`:min` and `:max` imply the goal, another goal overrides it, and the rule survives the stored form."""
    spec = resolved(tmp_path, {"train": {**SWEEP, "best": rule}})
    assert spec.groups[0].best == BestRule(metric=rule["metric"], goal=goal)
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))).groups == spec.groups


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"best": RULE}, "tasks.train.best", "applies only to groups and tasks with a matrix"),
        ({"matrix": {"lr": [1]}, "best": {"metric": "loss"}}, "tasks.train.best", "has no goal"),
        ({"matrix": {"lr": [1]}, "best": {"metric": "loss:mean"}}, "tasks.train.best", "has no goal"),
        ({"matrix": {"lr": [1]}, "best": {"metric": "outputs.a:min"}}, "tasks.train.best", "has no goal"),
        (
            {"matrix": {"lr": [1]}, "best": {**RULE, "metric": "outputs."}},
            "tasks.train.best.metric",
            "names no output",
        ),
        (
            {"matrix": {"lr": ["a"]}, "best": {**RULE, "metric": "${{ matrix.lr }}"}},
            "tasks.train.best.metric",
            "one for all members",
        ),
        ({"matrix": {"lr": [1]}, "best": {"metrik": "a"}}, "tasks.train.best.metrik", "unknown key 'metrik'"),
        ({"matrix": {"lr": [1]}, "best": {**RULE, "goal": "min"}}, "tasks.train.best.goal", "must be one of"),
    ],
)
def test_a_wrong_rule_is_a_problem_at_its_place(
    tmp_path: Path, keys: dict[str, Any], place: str, message: str
) -> None:
    """A rule without members, goal or metric, or that varies with the member, is reported where it is."""
    where, text, _ = problem(tmp_path, {"train": {"command": ["true"], **keys}})
    assert where == place
    assert message in text


@pytest.mark.parametrize(
    ("tasks", "message", "hint"),
    [
        ({"b": uses("tasks.train.best.params.lrr", "train")}, "best.params has no 'lrr'", "did you mean lr?"),
        (
            {"b": uses("tasks.train.best.values", "train")},
            "tasks.train.best has no 'values'",
            "mean value",
        ),
        ({"b": uses("tasks.train.best", "train")}, "tasks.train.best cannot be used", "tasks.train.best.id"),
        ({"b": uses("tasks.train.best.id")}, "b does not depend on all members of train", "add train to"),
        (
            {"b": uses("tasks.train.best.id", "train/lr=0.1")},
            "b does not depend on all members of train",
            "add train to",
        ),
        (
            {"b": uses("tasks.train.best.id", {"task": "train", "same": "matrix"}, matrix={"lr": [0.1]})},
            "b depends on the matching members of train alone",
            "write train in place of {task: train, same: matrix}",
        ),
        (
            {"a": {"command": ["true"]}, "b": uses("tasks.a.best.id", "a")},
            "a has no members",
            "tasks.<id>.outputs",
        ),
        ({"b": uses("tasks['train/lr=0.1'].best.id", "train")}, "train/lr=0.1 has no members", "outputs"),
        (
            {"a": {"group": [{"command": ["true"]}]}, "b": uses("tasks.a.best.id", "a")},
            "a has no key `best`",
            "best: {metric: loss, goal: minimize}",
        ),
        (
            {"a": {"group": [{"command": ["true"]}], "best": RULE}, "b": uses("tasks.a.best.params.lr", "a")},
            "best.params has no 'lr'",
            "a has no matrix",
        ),
        (
            {"b": uses("tasks.b.best.id", matrix={"lr": [1]}, best=RULE)},
            "b cannot use the best of its own members",
            "in a task that depends on b",
        ),
        (
            {
                "b": uses("tasks.c.best.id"),
                "c": {"command": ["true"], "matrix": {"lr": [1]}, "best": RULE, "dependencies": ["b"]},
            },
            "a cycle",
            "remove one",
        ),
        (
            {
                "b": {
                    "command": ["true"],
                    "dependencies": ["train"],
                    "timeout": "${{ tasks.train.best.value }}",
                }
            },
            "uses the best of a group, which is not known yet",
            "it can be used in these keys",
        ),
    ],
)
def test_a_wrong_use_is_a_problem(tmp_path: Path, tasks: dict[str, Any], message: str, hint: str) -> None:
    """A task that uses the best waits for the whole group, and names values that the best has."""
    _, text, remedy = problem(tmp_path, {"train": SWEEP, **tasks})
    assert message in text
    assert hint in (remedy or "")


def test_what_uses_the_best_is_not_queued_early(tmp_path: Path) -> None:
    """The same task without the expression waits in the engine's queue."""
    tasks = {
        "train": SWEEP,
        "plain": PLAIN,
        "by_args": uses("tasks.train.best.params.lr", "train"),
        "by_when": {
            "command": ["echo"],
            "dependencies": ["train"],
            "when": "${{ tasks.train.best.value < 1 }}",
        },
    }
    rules = Rules(resolved(tmp_path, tasks), {"local": "queue"})
    may_wait = {name for name, task in rules.tasks.items() if task.dependencies and rules.may_wait(task)}
    assert may_wait == {"plain"}


def test_only_needs_the_whole_group(tmp_path: Path) -> None:
    """A selection without a member of the group leaves nothing to choose from."""
    tasks = {"train": SWEEP, "b": uses("tasks.train.best.id", "train")}
    with pytest.raises(SpecError, match="b needs the best of train, which --only leaves out"):
        resolved(tmp_path, tasks, "b", "train/lr=0.1")
    assert len(resolved(tmp_path, tasks, "b", "train").tasks) == 3
