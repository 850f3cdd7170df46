"""The key `search` of a task: its trials, its rule in the resolved form, and problems of the spec."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.search import ParamKind, SearchParam
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import load
from nemorun_cli.spec.expressions import conditions, evaluate, searched_keys
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


FLOAT: Final = {"type": "float", "low": 0, "high": 1}


@pytest.mark.parametrize(
    ("params", "place", "message", "hint"),
    [
        ({"x": {"low": 1}}, "x", "has no type", "type: float or type: int"),
        ({"x": {"type": "int", "low": 1}}, "x", "has no high", "both ends"),
        ({"x": {"type": "int"}}, "x", "has no low and no high", "both ends"),
        ({"x": {"type": "choices"}}, "x", "has no choices", "add choices"),
        ({"x": {"type": "floats", "low": 1, "high": 2}}, "x.type", "must be one of", "did you mean float?"),
        ({"x": {"type": "float", "low": 1, "hihg": 2}}, "x.hihg", "unknown key 'hihg'", "did you mean high?"),
        ({"x": {**FLOAT, "low": 2}}, "x.low", "is greater than high: 2 > 1", None),
        ({"x": {**FLOAT, "log": True}}, "x.low", "must be greater than 0 with log", None),
        ({"x": {**LR, "step": 0.1}}, "x.step", "cannot be combined with log", "leave one of them out"),
        ({"x": {**FLOAT, "step": 0}}, "x.step", "must be greater than 0", None),
        ({"x": {**FLOAT, "step": 0.3}}, "x.high", "is not low plus a multiple of step: 1", "high: 0.9"),
        ({"x": {"type": "int", "low": 1, "high": 8, "step": 2}}, "x.high", "a multiple of step", "high: 7"),
        ({"x": {"type": "int", "low": 0.5, "high": 8}}, "x.low", "must be a whole number", None),
        ({"x": {"type": "int", "low": 0, "high": 2**60}}, "x.high", "must be from -2^53 to 2^53", None),
        ({"x": ["a", "b", "a"]}, "x.2", '"a" is listed twice', None),
        ({"x": [1, 1.0]}, "x.1", "1.0 is listed twice", None),
        ({"x": [{"a": [1]}, {"a": [1]}]}, "x.1", "is listed twice", None),
        ({"x": []}, "x", "must not be empty", None),
        ({"x": [1, "${{ search.x }}"]}, "x.1", "uses values of a trial", None),
        ({"x": {"choices": [1], "log": True}}, "x.log", "does not apply to choices", None),
        ({"x": {**FLOAT, "choices": [1]}}, "x.choices", "does not apply to float", None),
        ({"a b": FLOAT}, "a b", "the name of a param", None),
        ({"x": {**FLOAT, "when": "yes"}}, "x.when", "is no condition", "write one expression"),
        ({"x": {**FLOAT, "when": "${{ search.x > 1 }}"}}, "x.when", "uses itself", "above its own"),
        (
            {"x": {**FLOAT, "when": "${{ search.y > 1 }}"}, "y": FLOAT},
            "x.when",
            "uses search.y, which is below it",
            "above its own",
        ),
        ({"y": FLOAT, "x": {**FLOAT, "when": "${{ search.z > 1 }}"}}, "x.when", "called 'z'", "y, x"),
        ({"y": FLOAT, "x": {**FLOAT, "when": "${{ search.y }}"}}, "x.when", "not true or false", None),
        ({"y": ["a", 1], "x": {**FLOAT, "when": "${{ search.y > 0 }}"}}, "x.when", "cannot be", None),
        (
            {"x": {**FLOAT, "when": "${{ tasks.other.outputs.a }}"}},
            "x.when",
            "uses results of tasks",
            "use search and params",
        ),
        ({"y": FLOAT, "x": {**FLOAT, "when": "${{ search.y > }}"}}, "x.when", "search.y", None),
    ],
)
def test_a_wrong_param_is_a_problem_at_its_place(
    tmp_path: Path, params: dict[str, Any], place: str, message: str, hint: str | None
) -> None:
    """Types, ranges, steps, choices and conditions are checked, each at its own place."""
    task = {"command": ["true"], "search": {**SEARCH, "params": params}}
    ((where, text, advice),) = problems(tmp_path, {"train": task, "other": {"command": ["true"]}})
    assert where == f"tasks.train.search.params.{place}"
    assert message in text
    assert hint is None or hint in (advice or "")


@pytest.mark.parametrize(
    ("search", "place", "message", "hint"),
    [
        ({"goal": None}, "", "has no goal for loss", "goal: minimize or goal: maximize"),
        ({"goal": ["minimize"]}, "goal", "is a list, but metric is one", None),
        ({"metric": ["a", "b"]}, "goal", "is one, but metric is a list", "[minimize, minimize]"),
        ({"metric": ["a", "b"], "goal": ["minimize"]}, "goal", "has 1 for the 2 of metric", "one for each"),
        ({"metric": ["a", "a"], "goal": ["minimize"] * 2}, "metric.1", "a is listed twice", None),
        ({"metric": "outputs."}, "metric", "names no output", "outputs.score"),
        ({"trials": 0}, "trials", "must be", None),
        ({"timeout": 0}, "timeout", "must be longer than 0", None),
        ({"sampler": "tep"}, "sampler", "must be one of", "did you mean tpe?"),
        ({"seed": -1}, "seed", "must be a whole number from 0", None),
        ({"pruner": "medain"}, "pruner", 'no pruner is called "medain"', "did you mean median?"),
        ({"pruner": {"type": "asha", "min_resource": 0}}, "pruner.min_resource", "from 1 on or auto", None),
        ({"pruner": {"type": "asha", "bootstrap_count": 1}}, "pruner.bootstrap_count", "is known", "number"),
        ({"pruner": {"type": "patient"}}, "pruner", "patient has no patience", "patience: 5"),
        ({"pruner": "threshold"}, "pruner", "neither lower nor upper", "add upper"),
        (
            {"pruner": {"type": "threshold", "lower": 2, "upper": 1}},
            "pruner.lower",
            "greater than upper",
            None,
        ),
        (
            {"pruner": {"type": "median", "warmup_stesp": 1}},
            "pruner.warmup_stesp",
            "median has no option",
            "did you mean warmup_steps?",
        ),
        (
            {"metric": ["a", "b"], "goal": ["minimize"] * 2, "pruner": "median"},
            "pruner",
            "cannot prune by 2 goals",
            "leave it out",
        ),
        ({"metric": "outputs.a", "pruner": "median"}, "pruner", "cannot prune by an output", "leave it out"),
        ({"sampler": "cmaes"}, "sampler", "needs two numbers without `when`", "sampler: tpe"),
        ({"sampler": "grid", "params": {"a": FLOAT}}, "params.a", "has no step", "add step"),
        ({"sampler": "grid", "params": {"a": LR}}, "params.a", "has no step", "add step"),
        ({"sampler": "grid", "params": {"a": [1, 2]}}, "trials", "the grid has 2 points", "trials: 2"),
        ({"start_with": [{"lrr": 1}]}, "start_with.0.lrr", "no param is called 'lrr'", "did you mean lr?"),
        ({"start_with": [{"lr": 1}]}, "start_with.0.lr", "1.0 is not from 0.001 to 0.1", None),
        ({"start_with": [{"lr": "x"}]}, "start_with.0.lr", '"x" is no number', None),
        ({"start_with": [{"optimizer": "agd"}]}, "start_with.0.optimizer", "none of its choices", None),
        (
            {"start_with": [{"optimizer": "adam", "momentum": 0.5}]},
            "start_with.0.momentum",
            "its `when` is false",
            None,
        ),
        ({"start_with": [{"lr": 0.01}] * 4}, "start_with", "values for 4 trials, but trials is 3", None),
    ],
)
def test_a_wrong_key_of_a_search_is_a_problem_at_its_place(
    tmp_path: Path, search: dict[str, Any], place: str, message: str, hint: str | None
) -> None:
    """Goals, samplers, pruners and first values are checked, each at its own place."""
    section = {key: value for key, value in {**SEARCH, **search}.items() if value is not None}
    task = {"command": ["true"], "search": section}
    ((where, text, advice),) = problems(tmp_path, {"train": task})
    assert where == ".".join(filter(None, ("tasks.train.search", place)))
    assert message in text
    assert hint is None or hint in (advice or "")


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"matrix": {"a": [1]}}, "matrix", "cannot be combined with search"),
        ({"until": "any"}, "until", "cannot be combined with search"),
        ({"together": True}, "together", "cannot be combined with search"),
        ({"fail_fast": True}, "fail_fast", "cannot be combined with search"),
        (
            {"launcher": {"torchrun": {"nproc_per_node": "${{ search.lr }}"}}},
            "launcher.torchrun.nproc_per_node",
            "must be",
        ),
        ({"timeout": "${{ search.optimizer }}"}, "timeout", "must be a duration"),
        ({"timeout": "${{ search.lr > 1 }}"}, "timeout", "must be a duration"),
        ({"retry": {"limit": "${{ search.lr }}"}}, "retry.limit", "must be a whole number"),
        ({"resources": {"gpus": "${{ search.gpus }}"}}, "resources.gpus", "no param is called 'gpus'"),
        ({"timeout": "${{ experiment.id ~ search.lr }}"}, "timeout", "cannot be combined with experiment"),
        ({"timeout": "${{ search.lr * tasks.x.outputs.y }}"}, "timeout", "no task is called 'x'"),
        ({"executor": "${{ search['lr'] }}"}, "executor", "search.lr is a float"),
        ({"executor": "${{ search.momentum }}"}, "executor", "has no value in trials in which its `when`"),
        ({"executor": "${{ search.exec }}"}, "executor", "no param is called 'exec'"),
        ({"env_file": "${{ tasks.x.outputs.y ~ search.lr }}"}, "env_file", "no task is called 'x'"),
        ({"executor": "${{ search.lr }}"}, "executor", "search.lr is a float"),
        ({"dependencies": ["${{ search.optimizer }}"]}, "dependencies.0", "is one for all members"),
        ({"env": {"M": "${{ search.momentum }}"}}, "env.M", "has no value in trials in which its `when`"),
        ({"env": {"M": "${{ search.moment }}"}}, "env.M", "no param is called 'moment'"),
        ({"best": {"metric": "a"}}, "best", "has no goal"),
        (
            {"best": {"metric": "${{ search.optimizer }}", "goal": "minimize"}},
            "best.metric",
            "is one for all",
        ),
    ],
)
def test_a_key_of_the_task_that_a_search_excludes_is_a_problem_there(
    tmp_path: Path, keys: dict[str, Any], place: str, message: str
) -> None:
    """What would make members, or needs a value before a trial has one, is refused at its place."""
    found = problems(tmp_path, {"train": study(None, **keys)})
    assert [where for where, *_ in found] == [f"tasks.train.{place}"]
    assert message in found[0][1]


def test_a_trial_of_a_group_has_all_its_tasks(tmp_path: Path) -> None:
    """Each trial has the tasks of the group, with the order that they have there, and the same values."""
    members = [
        {"name": "train", "command": ["train", "${{ search.lr }}"], "resources": {"memory": "1G"}},
        {
            "name": "evaluate",
            "dependencies": ["train"],
            "command": ["evaluate", "${{ tasks['tune/train'].outputs.model }}"],
            "resources": {"cpus": "${{ search.layers }}"},
        },
    ]
    space = {"lr": LR, "layers": {"type": "int", "low": 1, "high": 2}}
    group = {"group": members, "resources": {"gpus": 1}, "search": {**SEARCH, "params": space, "trials": 2}}
    prepare = {"command": ["true"]}
    spec = resolved(
        tmp_path, {"prepare": {"command": ["true"]}, "tune": {**group, "dependencies": ["prepare"]}}
    )
    first, second = "tune/trial-0001", "tune/trial-0002"
    assert [task.id for task in spec.tasks[1:]] == [
        f"{trial}/{name}" for trial in (first, second) for name in ("train", "evaluate")
    ]
    assert [task.index for task in spec.tasks] == [0, 1, 2, 3, 4]
    assert [task.dependencies for task in spec.tasks[1:]] == [
        ("prepare",),
        ("prepare", f"{first}/train"),
        ("prepare",),
        ("prepare", f"{second}/train"),
    ]
    assert [task.twins for task in spec.tasks[3:]] == [{}, {"tune/train": f"{second}/train"}]
    assert [dict(task.searched) for task in spec.tasks[1:3]] == [
        {},
        {"/resources/cpus": "${{ search.layers }}"},
    ]
    assert {task.resources.gpus for task in spec.tasks[1:]} == {1}
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    only = resolved(tmp_path, {"prepare": prepare, "tune": group}, "tune/trial-0002/*")
    assert [task.id for task in only.tasks] == [f"{second}/train", f"{second}/evaluate"]


@pytest.mark.parametrize(
    ("keys", "place", "message", "hint"),
    [
        ({"dependencies": ["b"]}, "dependencies.0", "names no other member of the group: 'b'", "a"),
        ({"dependencies": ["own"]}, "dependencies.0", "own cannot depend on itself", None),
        ({"dependencies": ["a", "a"]}, "dependencies", "", None),
        ({"dependencies": "a"}, "dependencies", "must be a list of texts", None),
        ({"command": ["${{ tasks['tune/a'].outputs.x }}"]}, "command.0", "does not depend on", "add"),
        ({"command": ["${{ tasks['tune/b'].outputs.x }}"]}, "command.0", "no task is called 'tune/b'", ""),
        (
            {"command": ["${{ search.momentum }}"]},
            "command.0",
            "has no value in trials in which its",
            "write",
        ),
        ({"matrix": {"x": [1]}}, "matrix", "", None),
    ],
)
@pytest.mark.parametrize("is_searched", [True, False])
def test_a_wrong_order_of_members_is_a_problem_at_its_place(
    tmp_path: Path, keys: dict[str, Any], place: str, message: str, hint: str | None, *, is_searched: bool
) -> None:
    """A member depends on other members of its group, and uses the outputs of those alone."""
    members = [{"name": "a", "command": ["true"]}, {"name": "own", "command": ["true"], **keys}]
    if not is_searched and ("search" in str(keys) or "tasks" in str(keys)):
        return  # members of a group without trials have these ids
    search = {"search": SEARCH} if is_searched else {}
    found = problems(tmp_path, {"tune": {"group": members, **search}})
    assert [where for where, *_ in found] == [f"tasks.tune.group.1.{place}"], found
    assert message in found[0][1]
    assert hint is None or hint in (found[0][2] or "")


def test_members_that_wait_for_each_other_are_a_problem(tmp_path: Path) -> None:
    """A cycle is named once; members that start together, or with a leader, have no order."""
    one = {"name": "a", "command": ["true"], "dependencies": ["b"]}
    other = {"name": "b", "command": ["true"], "dependencies": ["a"]}
    ((where, text, _),) = problems(tmp_path, {"t": {"group": [one, other]}})
    assert (where, text) == ("tasks.t.group.0.dependencies", "is a cycle: a -> b -> a")
    plain = {"name": "b", "command": ["true"]}
    for key, value in (("together", True), ("until", "b"), ("until", "any")):
        ((where, text, _),) = problems(tmp_path, {"t": {"group": [one, plain], key: value}})
        assert where == "tasks.t.group.0.dependencies"
        assert f"cannot be combined with {key}" in text
    assert resolved(tmp_path, {"t": {"group": [one, plain], "until": "all"}}).tasks[0].dependencies == (
        "t/b",
    )


def test_a_combination_of_a_matrix_has_the_order_of_its_group(tmp_path: Path) -> None:
    """Each combination has its own order, and members use the outputs of their own combination."""
    one = {"name": "a", "command": ["true"]}
    other = {"name": "b", "command": ["${{ tasks['t/a'].outputs.x }}"], "dependencies": ["a"]}
    spec = resolved(tmp_path, {"t": {"group": [one, other], "matrix": {"x": [1, 2]}}})
    assert [task.dependencies for task in spec.tasks] == [(), ("t/x=1/a",), (), ("t/x=2/a",)]
    assert spec.tasks[3].twins == {"t/a": "t/x=2/a"}


FIXED: Final = {"executor": {"type": "local"}, "one": {"type": "local", "env": {"A": "1"}}}


@pytest.mark.parametrize(
    ("key", "value", "place", "messages"),
    [
        ("executor", "${{ search.v }}", "", ["no executor is called 'moon'", "no executor is called 'mars'"]),
        ("launcher", "${{ search.v }}", "", ["no launcher is called 'one'", "'moon'", "'mars'"]),
        ("python", {"venv": "${{ search.v }}"}, ".venv", ["one", "moon", "mars"]),
        ("script", "${{ search.v }}.sh", "", ["one.sh", "moon.sh", "mars.sh"]),
        ("env_file", ["${{ search.v }}"], ".0", ["/one", "/moon", "/mars"]),
        ("dependency_type", "${{ search.v }}", "", ["must be one of afterok"]),
        ("inline", "echo ${{ search.v ~ '&' }}", "", ["cannot be put into an inline script"]),
    ],
)
def test_each_choice_is_checked_where_the_spec_is_read(
    tmp_path: Path, key: str, value: Any, place: str, messages: list[str]
) -> None:
    """Keys that must be known before a trial starts are checked for each of their values, as in a matrix."""
    keys = {} if key in ("script", "inline") else {"command": ["true"]}
    search = {**SEARCH, "params": {"v": ["one", "moon", "mars"]}}
    found = problems(tmp_path, {"t": {**keys, "search": search, key: value}}, executors=FIXED)
    assert {where for where, *_ in found} == {f"tasks.t.{key}{place}"}
    for message, (_, text, _) in zip(messages, found, strict=True):
        assert message in text


def test_a_key_is_known_for_each_value_that_a_trial_can_have(tmp_path: Path) -> None:
    """A whole number stands for its values; a param without a value in some trials has a default there."""
    for number in (1, 3, 5):
        (tmp_path / f"run-{number}.sh").write_text("true")
    params = {
        "lr": LR,
        "n": {"type": "int", "low": 1, "high": 5, "step": 2, "log": False},
        "where": {"choices": ["one", "local"], "when": "${{ search.n > 1 }}"},
        "late": {"choices": ["one", "local"], "when": "${{ search.lr > 0.05 }}"},
    }
    task = {
        "script": "run-${{ search.n }}.sh",
        "executor": "${{ search.where | default('local') }}",
        "description": "lr ${{ search.lr }}",
        "stderr_to_stdout": "${{ search.late is defined }}",
    }
    spec = resolved(tmp_path, {"t": {**task, "search": {**SEARCH, "params": params}}}, executors=FIXED)
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    forms = spec.tasks[0].variants
    assert forms is not None
    assert sorted(forms.params) == ["late", "n", "where"]
    assert len(forms.entries) == (1 + 2 * 2) * 3
    assert {task.executor for task in spec.possible_tasks} == {"one", "local"}
    trial = searched_keys.variant(spec.tasks[2], {"lr": 0.07, "n": 3, "where": "one", "late": "one"})
    assert (trial.id, trial.body, trial.executor) == ("t/trial-0003", f"{tmp_path}/run-3.sh", "one")
    assert trial.env == {"A": "1"}
    assert trial.stderr_to_stdout is True
    assert searched_keys.variant(spec.tasks[2], {"lr": 0.07, "n": 1}).executor == "local"
    with pytest.raises(TemplateError, match="no variant"):
        searched_keys.variant(spec.tasks[2], {"lr": 0.07, "n": True})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"a": {"type": "int", "low": 1, "high": 1001}}, "search.a has more than 1,000 values"),
        ({"a": list(range(100)), "b": list(range(11))}, "more than 1,000 combinations of search.a, search.b"),
        ({"a": {"type": "float", "low": 0, "high": 1, "step": 0.5}}, "search.a is a float"),
    ],
)
def test_too_many_values_for_a_key_are_a_problem(
    tmp_path: Path, params: dict[str, Any], message: str
) -> None:
    """Where each value would have to be checked, there is a limit, and it is named."""
    text = " ".join(f"${{{{ search.{name} }}}}" for name in params)
    task = {"command": ["true"], "env_file": text, "search": {**SEARCH, "params": params}}
    ((where, found, hint),) = problems(tmp_path, {"t": task})
    assert where == "tasks.t.env_file"
    assert message in found
    assert "args or env" in (hint or "")


def test_plugins_are_those_of_some_trials(tmp_path: Path) -> None:
    """A plugin that values decide is for the trials with these values."""
    use = {"uses": "notify", "with": {"command": ["${{ search.v }}"], "on": ["failure"]}}
    params = {"v": ["a", "b"], "lr": LR}
    spec = resolved(tmp_path, {"t": study({"params": params}, plugins=[use])})
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert [(use.options["command"], use.values) for use in spec.plugins] == [
        (["a"], ({"v": "a"},)),
        (["b"], ({"v": "b"},)),
    ]
    assert {use.tasks for use in spec.plugins} == {spec.groups[0].members}
    assert [use.is_for({"v": "a", "lr": 0.1}) for use in spec.plugins] == [True, False]


def test_a_search_belongs_to_a_task_or_a_whole_group(tmp_path: Path) -> None:
    """A member, and a handler, have none of their own; trials have no leader and do not start at once."""
    member = {"command": ["true"], "search": {**SEARCH, "params": {"lr": LR}}}
    for key, value in (("together", True), ("until", "0"), ("fail_fast", True)):
        group = {"group": [{"command": ["true"]}], "search": SEARCH, key: value}
        assert [where for where, *_ in problems(tmp_path, {"t": group})] == [f"tasks.t.{key}"]
    ((where, _, hint),) = problems(tmp_path, {"train": {"group": [member]}})
    assert where == "tasks.train.group.0.search"
    assert hint == "write it next to group: each trial has all members of the group"
    ((where, _, hint),) = problems(tmp_path, {"a": {"command": ["true"]}}, on_exit={"b": member})
    assert where == "on_exit.b.search"
    assert hint is not None
    assert "a handler runs once" in hint


def test_search_values_belong_to_the_task_alone(tmp_path: Path) -> None:
    """Another task, and the defaults, cannot use `search`; another task can use the best trial."""
    other = {"command": ["echo", "${{ search.lr }}"], "dependencies": ["train"]}
    ((where, text, _),) = problems(tmp_path, {"train": study(), "other": other})
    assert where == "tasks.other.command.1"
    assert "search can be used only in tasks with a search" in text
    best = {"command": ["echo", "${{ tasks.train.best.params.lr }}"], "dependencies": ["train"]}
    assert resolved(tmp_path, {"train": study(), "other": best}).tasks[-1].late == ("/body/1",)
    wrong = {"command": ["echo", "${{ tasks.train.best.params.lrr }}"], "dependencies": ["train"]}
    ((_, text, hint),) = problems(tmp_path, {"train": study(), "other": wrong})
    assert "tasks.train.best.params has no 'lrr'" in text
    assert hint is not None
    assert "did you mean lr?" in hint


def test_several_goals_have_no_best(tmp_path: Path) -> None:
    """With several goals, `best` is refused, and so is a use of the best trial."""
    goals = {"metric": ["loss", "seconds"], "goal": ["minimize", "minimize"]}
    rule = {"metric": "loss", "goal": "minimize"}
    ((where, text, _),) = problems(tmp_path, {"train": study(goals, best=rule)})
    assert where == "tasks.train.best"
    assert "the 2 goals of its search" in text
    user = {"command": ["echo", "${{ tasks.train.best.id }}"], "dependencies": ["train"]}
    ((where, text, _),) = problems(tmp_path, {"train": study(goals), "other": user})
    assert where == "tasks.other.command.1"
    assert "several goals" in text
    assert resolved(tmp_path, {"train": study(goals)}).groups[0].best is None


def test_another_best_than_that_of_the_search_can_be_named(tmp_path: Path) -> None:
    """The key `best` of a search with one goal overrides its metric."""
    spec = resolved(tmp_path, {"train": study(best={"metric": "accuracy:max"})})
    assert spec.groups[0].best == BestRule(metric="accuracy:max", goal=Goal.MAXIMIZE)


def test_params_can_set_a_search(tmp_path: Path) -> None:
    """Every key of a search can be an expression, except over values of its trials."""
    search = {"trials": "${{ params.n }}", "params": {"x": {**FLOAT, "high": "${{ params.high }}"}}}
    task = {"command": ["echo", "${{ search.x }}"], "search": {**SEARCH, **search}}
    spec = resolved(tmp_path, {"train": task}, params={"n": 7, "high": 4})
    rule = spec.groups[0].search
    assert rule is not None
    assert (rule.trials, rule.params[0].high) == (7, 4.0)


@pytest.mark.parametrize(
    ("pruner", "name", "options"),
    [
        ("asha", "asha", {}),
        ({"type": "asha", "min_resource": "auto"}, "asha", {"min_resource": "auto"}),
        ({"type": "median", "startup_trials": 2}, "median", {"n_startup_trials": 2}),
        ({"type": "threshold", "upper": 1.5}, "threshold", {"upper": 1.5}),
    ],
)
def test_a_pruner_has_its_options_by_the_names_of_optuna(
    tmp_path: Path, pruner: Any, name: str, options: dict[str, Any]
) -> None:
    """The resolved form has the names that Optuna takes."""
    rule = resolved(tmp_path, {"train": study({"pruner": pruner})}).groups[0].search
    assert rule is not None
    assert (rule.pruner, dict(rule.pruner_options)) == (name, options)


def test_first_values_are_values_of_the_params(tmp_path: Path) -> None:
    """A number gets the type of its param, and a choice is the choice itself."""
    params = {"x": FLOAT, "n": {"type": "int", "low": 0, "high": 9}, "c": [1, "a", None, {"k": [1]}]}
    first = [{"x": 1, "n": 3.0, "c": 1.0}, {"c": None}, {"c": {"k": [1.0]}}]
    task = {"command": ["true"], "search": {**SEARCH, "params": params, "start_with": first}}
    rule = resolved(tmp_path, {"train": task}).groups[0].search
    assert rule is not None
    assert [json.dumps(entry) for entry in rule.start_with] == [
        '{"x": 1.0, "n": 3, "c": 1}',
        '{"c": null}',
        '{"c": {"k": [1]}}',
    ]


def test_a_wrong_search_is_the_only_problem_of_what_uses_it(tmp_path: Path) -> None:
    """A task that depends on a search with a problem, and uses its best trial, causes no further one."""
    user = {"command": ["echo", "${{ tasks.train.best.params.lr }}"], "dependencies": ["train"]}
    found = problems(tmp_path, {"train": study({"trials": 0}), "other": user})
    assert [where for where, *_ in found] == ["tasks.train.search.trials"]


def test_a_file_that_extends_another_removes_and_changes_params(tmp_path: Path) -> None:
    """Null removes a param of a search, and a mapping changes its keys one by one."""
    (tmp_path / "base.yaml").write_text(json.dumps({"tasks": {"train": study()}}))
    changes = {"params": {"momentum": None, "lr": {"high": 0.5}, "optimizer": ["lion"]}, "goal": "maximize"}
    path = tmp_path / "spec.yaml"
    path.write_text(
        json.dumps({"name": "x", "extends": "base.yaml", "tasks": {"train": {"search": changes}}})
    )
    rule = load.resolve(load.read(path), IDENTITY).groups[0].search
    assert rule is not None
    assert [(param.name, param.high, param.choices) for param in rule.params] == [
        ("optimizer", None, ("lion",)),
        ("lr", 0.5, ()),
    ]
    assert rule.goals == (Goal.MAXIMIZE,)


def test_trials_do_not_share_their_outputs(tmp_path: Path) -> None:
    """Files that `cache` keeps belong to one trial: each has a folder of its own, or none."""
    cache = {"inputs": [], "outputs": ["model.bin"]}
    ((where, text, _),) = problems(tmp_path, {"train": study(cache=cache)})
    assert where == "tasks.train.cache.outputs"
    assert "train/trial-0001 and train/trial-0002 both write model.bin" in text
    spec = resolved(tmp_path, {"train": study(cache=cache, workdir="run-${{ search.lr }}")})
    assert spec.tasks[2].cache is not None
    assert spec.tasks[2].cache.outputs == ("model.bin",)


def test_keys_that_are_no_texts_are_filled_in_with_the_suggestion(tmp_path: Path) -> None:
    """What a trial requests, its timeout, retries and conditions can depend on its values, and on params."""
    keys = {
        "timeout": "${{ search.layers * params.minutes }}m",
        "resources": {"cpus": "${{ search.layers }}", "memory": "${{ search.layers }}G", "gpus": 0},
        "retry": {"limit": "${{ search.layers - 1 }}", "delay": "1s"},
        "stop": {"metric": "loss", "above": "${{ search.lr * 100 }}"},
        "stop_signal": "${{ 'INT' if search.layers > 2 else 'TERM' }}",
        "artifacts": ["logs", "model-${{ search.layers }}.bin"],
        "description": "lr ${{ search.lr }} of ${{ experiment.name }}",
        "launcher": {
            "torchrun": {"nproc_per_node": "${{ search.layers }}"},
            "wrap": "nice -n ${{ search.layers }}",
        },
    }
    params = {"lr": LR, "layers": {"type": "int", "low": 1, "high": 4}}
    spec = resolved(tmp_path, {"train": study({"params": params}, **keys)}, params={"minutes": 2})
    stored = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    assert stored == spec
    trial = stored.tasks[1]
    assert (trial.timeout, trial.resources.cpus) == (120, 1)  # of the first point, until it has values
    filled = searched_keys.with_values(
        trial, {"lr": 0.05, "layers": 3}, names=["lr", "layers"], params=spec.params, env={}
    )
    assert (filled.timeout, filled.resources) == (360, Resources(cpus=3, memory=3 << 30, gpus=0))
    assert (filled.retry.limit, filled.retry.delay) == (2, 1)
    assert (filled.stop[0].above, filled.stop_signal) == (5, "INT")
    assert filled.artifacts == ("logs", "model-3.bin")
    assert filled.description == "lr 0.05 of x"
    assert filled.launcher == {"torchrun": {"nproc_per_node": 3}, "wrap": ["nice", "-n", "3"]}


def test_a_value_that_does_not_fit_a_key_is_an_error_of_the_trial(tmp_path: Path) -> None:
    """Values are tried at the ends of ranges; one in between that does not fit has a message of its own."""
    params = {"n": {"type": "int", "low": 1, "high": 3}}
    task = {"command": ["true"], "retry": {"limit": "${{ 6 / search.n }}"}}
    section = {**SEARCH, "params": {"n": {"type": "int", "low": 1, "high": 6}}}
    spec = resolved(tmp_path, {"train": {**task, "search": section}})
    with pytest.raises(TemplateError, match=r"retry\.limit: .*: must be a whole number from 0 on, not 1\.5"):
        searched_keys.with_values(spec.tasks[0], {"n": 4}, names=["n"], params={}, env={})
    task = {"command": ["true"], "resources": {"cpus": "${{ 2 - search.n }}"}}
    ((where, text, _),) = problems(tmp_path, {"train": {**task, "search": {**SEARCH, "params": params}}})
    assert where == "tasks.train.resources.cpus"
    assert "(of a trial with n 3)" in text


def test_plugins_and_dependencies_are_those_of_each_trial(tmp_path: Path) -> None:
    """A plugin of the task has each trial once, also if values are tried at several points of the space."""
    uses = [{"uses": "notify", "with": {"command": ["true"], "on": ["failure"]}}]
    task = study(plugins=uses, timeout="${{ search.lr * 100 }}s", dependencies=["first"])
    spec = resolved(tmp_path, {"first": {"command": ["true"]}, "train": task})
    (use,) = spec.plugins
    assert use.tasks == spec.groups[0].members
    assert {trial.dependencies for trial in spec.tasks[1:]} == {("first",)}
    assert [trial.index for trial in spec.tasks] == [0, 1, 2, 3]


def test_only_some_trials_can_be_selected(tmp_path: Path) -> None:
    """`--only` with a trial, or a glob, keeps the search with these trials."""
    spec = resolved(tmp_path, {"train": study()}, "train/trial-0002")
    assert [task.id for task in spec.tasks] == ["train/trial-0002"]
    assert spec.groups[0].members == ("train/trial-0002",)
    assert spec.groups[0].search is not None
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "pointer", ["/id", "/resources/gpus/x", "/stop/7/above", "/artifacts/x", "/launcher/a/0", "timeout", ""]
)
def test_a_stored_pointer_to_no_such_field_is_an_error(tmp_path: Path, pointer: str) -> None:
    """What another program wrote into a stored spec changes no other field, and is no internal error."""
    trial = replace(resolved(tmp_path, {"train": study()}).tasks[0], searched={pointer: "${{ search.lr }}"})
    with pytest.raises(TemplateError, match="no such field"):
        searched_keys.with_values(trial, {"lr": 1}, names=["lr"], params={}, env={})
