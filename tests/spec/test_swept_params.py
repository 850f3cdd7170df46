"""`--sweep`: which tasks get a param as an axis, what matches what, and what is refused with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import run
from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")
PARAMS = {"lr": 0.5, "n": 1, "opt": {"default": "sgd", "enum": ["sgd", "adam"]}, "version": "3.10"}
USER = {"command": ["echo", "${{ params.lr }}"]}
FROM_A = {"command": ["echo", "${{ tasks.a.outputs.x }}"]}
BOTH = {"command": ["echo", "${{ params.n }} ${{ params.m }}"]}
PLAIN = {"command": ["true"]}


STUDY = {"params": {"x": [1, 2]}, "metric": "loss", "goal": "minimize", "trials": 2}


def after(*names: Any, **keys: Any) -> dict[str, Any]:
    """A task that depends on others."""
    return {"command": ["true"], "dependencies": list(names), **keys}


def resolved(folder: Path, tasks: dict[str, Any], *sweeps: str, **keys: Any) -> Spec:
    options = {"params": keys.pop("given", ())}
    (folder / "spec.yaml").write_text(json.dumps({"name": "x", "params": PARAMS, "tasks": tasks, **keys}))
    return load.resolve(load.read(folder / "spec.yaml", sweeps=sweeps, **options), IDENTITY)


def ids(spec: Spec) -> list[str]:
    return [task.id for task in spec.tasks]


def problem(folder: Path, tasks: dict[str, Any], *sweeps: str, **keys: Any) -> str:
    with pytest.raises(SpecError) as caught:
        resolved(folder, tasks, *sweeps, **keys)
    return str(caught.value.problems[0]).replace(f"{folder}/", "")


def test_users_and_what_is_below_them_get_the_axis(tmp_path: Path) -> None:
    """Members below match by the value, everything else runs once, and the values keep their types."""
    tasks = {
        "prepare": PLAIN,
        "train": {
            "inline": "true",
            "args": ["${{ params.lr * 2 }}", "${{ 'params.lr' }}", "${{ params['lr'] }} of ${{ params.n }}"],
            "dependencies": ["prepare"],
        },
        "evaluate": {"command": ["echo", "${{ tasks.train.outputs.model }}"], "dependencies": ["train"]},
        "report": after("eval*"),
        "other": after("prepare"),
    }
    spec = resolved(tmp_path, tasks, "lr=0.1,1e-2")
    values = ("lr=0.1", "lr=1e-2")
    swept = [f"{name}/{value}" for name in ("train", "evaluate", "report") for value in values]
    assert ids(spec) == ["prepare", *swept, "other"]
    by_id = {task.id: task for task in spec.tasks}
    assert by_id["train/lr=1e-2"].args == ("0.02", "params.lr", "1e-2 of 1")
    assert by_id["train/lr=0.1"].dependencies == ("prepare",)
    assert by_id["evaluate/lr=0.1"].dependencies == ("train/lr=0.1",)
    assert by_id["evaluate/lr=0.1"].twins == {"train": "train/lr=0.1"}
    assert by_id["report/lr=1e-2"].dependencies == ("evaluate/lr=1e-2",)
    assert by_id["other"].dependencies == ("prepare",)


def test_several_params_multiply_where_they_meet(tmp_path: Path) -> None:
    """A task below two swept ones has both axes, after those of its own matrix."""
    tasks = {
        "train": {**USER, "matrix": {"seed": [1, 2]}},
        "score": {"command": ["echo", "${{ params.n }}"], "dependencies": ["train"]},
    }
    spec = resolved(tmp_path, tasks, "lr=0.1,0.2", "n=3..2")
    assert ids(spec)[:2] == ["train/seed=1,lr=0.1", "train/seed=1,lr=0.2"]
    assert ids(spec)[4:] == [f"score/lr={lr},n={n}" for lr in (0.1, 0.2) for n in (3, 2)]
    by_id = {task.id: task for task in spec.tasks}
    assert by_id["score/lr=0.2,n=3"].dependencies == ("train/seed=1,lr=0.2", "train/seed=2,lr=0.2")


def test_what_uses_the_best_of_the_members_runs_once(tmp_path: Path) -> None:
    """A task that uses the best of a swept task waits for all its members."""
    train = {**USER, "best": {"metric": "loss:min"}}
    final = {"command": ["echo", "${{ tasks.train.best.params.lr }}"], "dependencies": ["train"]}
    spec = resolved(tmp_path, {"train": train, "final": final, "end": after("final")}, "lr=1,2")
    assert ids(spec) == ["train/lr=1", "train/lr=2", "final", "end"]


def plain(value: Any) -> Any:
    """A value without its written form."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        ("n=1..3", [1, 2, 3]),
        ("n=-1..1,7", [-1, 0, 1, 7]),
        ("opt=adam,sgd", ["adam", "sgd"]),
        ("version=3.10,'a,b'", ["3.10", "a,b"]),
        ("version=true,4", ["true", "4"]),
    ],
)
def test_values_are_yaml_of_the_type_of_the_param(tmp_path: Path, sweep: str, values: list[Any]) -> None:
    """`A..B` is whole numbers, both included; the values of a text stay as they are written."""
    name = sweep.partition("=")[0]
    spec = resolved(tmp_path, {"a": {"command": ["echo", f"${{{{ params.{name} }}}}"]}}, sweep)
    found = [task.matrix[name] for task in spec.tasks]
    assert found == values
    assert [type(value) is type(want) for value, want in zip(found, values, strict=True)] == [True] * len(
        values
    )


def test_a_param_without_a_value_needs_none(tmp_path: Path) -> None:
    """Only the members use it, and each has its own value."""
    spec = resolved(tmp_path, {"a": USER}, "lr=1,2", params={"lr": {"type": "number"}})
    assert ids(spec) == ["a/lr=1", "a/lr=2"]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("lrr=1", "no param is called 'lrr' (did you mean lr?"),
        ("lr", "has no values"),
        ("lr=", "has no values"),
        ("lr=[1],2", "has the value [1]"),
        ("lr=1,a", "params.lr: must be a number"),
        ("opt=sgd,adm", "params.opt: must be one of"),
        ("n=1..1000000", "has more than 100,000 values"),
        ("n=1,2", "no task uses params.n"),
        ("lr=1,1.0", "tasks.a.matrix.lr.1: 1.0 is listed twice"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, sweep: str, message: str) -> None:
    """The problem is that of the option, with the place of what contradicts it."""
    text = problem(tmp_path, {"a": USER}, sweep)
    assert f"--sweep {sweep}" in text
    assert message in text


def test_one_param_has_one_option(tmp_path: Path) -> None:
    """Neither `-p` nor a second `--sweep` can give it other values."""
    assert "lr has a value by -p already" in problem(tmp_path, {"a": USER}, "lr=1,2", given=("lr=3",))
    assert "lr has a value by --sweep already" in problem(tmp_path, {"a": USER}, "lr=1,2", "lr=3")


@pytest.mark.parametrize(
    ("tasks", "keys", "place", "message"),
    [
        ({"a": {**USER, "matrix": {"lr": [1]}}}, {}, "tasks.a.matrix.lr", "an axis of its own"),
        ({"a": USER, "b": after("a", matrix={"lr": [1]})}, {}, "tasks.b.matrix.lr", "an axis of its own"),
        ({"a": {"together": True, "group": [USER]}}, {}, "tasks.a.together", "cannot be swept"),
        ({"a": {**USER, "search": STUDY}}, {}, "tasks.a.search", "cannot be swept"),
        ({"a": USER, "b": after("a", search=STUDY)}, {}, "tasks.b.search", "cannot be swept"),
        ({"a": {**USER, "matrix": {"include": [{"z": 1}]}}}, {}, "tasks.a.matrix.include", "no axis can be"),
        (
            {"a": {**PLAIN, "matrix": {"z": ["${{ params.lr }}"]}}},
            {},
            "tasks.a.matrix",
            "differs from member to member",
        ),
        (
            {"a": {**PLAIN, "dependencies": [{"experiment": "${{ params.lr }}"}]}},
            {},
            "tasks.a.dependencies",
            "differs from member to member",
        ),
        ({"a": {**PLAIN, "env": {"P": "${{ params | tojson }}"}}}, {}, "tasks.a.env.P", "uses all params"),
        ({"a": USER}, {"on_exit": {"h": USER}}, "on_exit.h.command.1", "a handler runs once"),
        (
            {"a": USER},
            {"on_exit": {"h": {"command": ["echo", "${{ tasks.a.outputs.x }}"]}}},
            "on_exit.h.command.1",
            "a would have several members",
        ),
        ({"a": USER}, {"env": {"LR": "${{ params.lr }}"}}, "env.LR", "one value for all tasks"),
        (
            {"a": USER},
            {"defaults": {"env": {"LR": "${{ params.lr }}"}}},
            "defaults.env.LR",
            "one value for all",
        ),
        ({"a": USER, "b": PLAIN}, {"run": {"sequential": True}}, "run.sequential", "cannot be combined"),
        (
            {"a": {"group": [{"name": "m", **USER}]}, "b": after("a/m")},
            {},
            "tasks.b.dependencies.0",
            "names members of a",
        ),
        (
            {"a": {**USER, "matrix": {"z": [1]}}, "b": after("a", matrix={"z": [1]})},
            {},
            "tasks.b.dependencies.0",
            "is all members of a, which has the axis z as b has",
        ),
        (
            {
                "a": USER,
                "b": after("a"),
                "c": {**after("b"), "command": ["echo", "${{ tasks.a.outputs.x }}"]},
            },
            {},
            "tasks.c.command.1",
            "depends on a only through other tasks",
        ),
    ],
)
def test_what_cannot_be_swept_is_refused_with_its_place(
    tmp_path: Path, tasks: dict[str, Any], keys: dict[str, Any], place: str, message: str
) -> None:
    """The place is that in the spec, and the option is named."""
    text = problem(tmp_path, tasks, "lr=1,2", **keys)
    assert f"{place}: " in text
    assert message in text


def test_a_sweep_is_one_experiment_that_can_be_run_again(exp: Exp) -> None:
    """The dry run, the stored spec, a rerun and a resume with an edited spec have the same members."""
    tasks = {"train": {"inline": 'echo "got $1"', "args": ["${{ params.n }}"]}, "end": after("train")}
    path = exp.spec(json.dumps({"name": "swept", "params": PARAMS, "tasks": tasks}))
    options = ("run", path, "--sweep", "n=1..3")
    members = [f"{name}/n={n}" for name in ("train", "end") for n in (1, 2, 3)]
    assert exp(*options, "--dry-run", "-q").stdout.split() == members
    once = exp.spec(exp(*options, "--dry-run", "--format", "yaml").stdout, "once.yaml")
    assert exp("run", once, "--dry-run", "-q").stdout.split() == members
    first = exp(*options, "-q").stdout.strip()
    assert exp("logs", first, "train/n=3").stdout == "got 3\n"
    assert exp("compare", first, "--json").json["rows"][2]["params"]["n"] == 3
    exp("rerun", first, "-q")
    assert [task["id"] for task in exp.status()["tasks"]] == members
    tasks["more"] = after("end")
    exp.spec(json.dumps({"name": "swept", "params": PARAMS, "tasks": tasks}))
    exp("resume", first, "--spec", path)
    assert len(exp.status(first)["tasks"]) == 9
    assert "--sweep m=1" in exp("run", path, "--sweep", "m=1", code=2).stderr


def test_a_rerun_takes_other_values(exp: Exp) -> None:
    """What is given now replaces the value and the sweep of the same param, and no other."""
    path = exp.spec(json.dumps({"name": "again", "params": {"n": 1, "m": 5}, "tasks": {"a": BOTH}}))
    exp("run", path, "--sweep", "n=1,2", "-p", "m=6")
    plans = {
        ("-p", "n=3"): ["a"],
        ("--sweep", "n=3..4"): ["a/n=3", "a/n=4"],
        ("--sweep", "m=7,8"): ["a/n=1,m=7", "a/n=1,m=8", "a/n=2,m=7", "a/n=2,m=8"],
    }
    for options, members in plans.items():
        assert sorted(exp("rerun", "latest", "--dry-run", "-q", *options).stdout.split()) == members
    assert (
        "has a value by -p already" in exp("rerun", "latest", "-p", "n=1", "--sweep", "n=1,2", code=2).stderr
    )


def test_what_is_checked_and_drawn_is_what_runs(exp: Exp, tmp_path: Path) -> None:
    """`exp validate`, `exp graph` and Python take the same sweeps."""
    path = exp.spec(json.dumps({"name": "same", "params": PARAMS, "tasks": {"a": USER, "b": after("a")}}))
    members = ["a/lr=1", "a/lr=2", "b/lr=1", "b/lr=2"]
    assert sorted(exp("validate", path, "--sweep", "lr=1,2", "-q").stdout.split()) == members
    drawn = exp("graph", path, "--sweep", "lr=1,2", "--json").json["groups"]
    assert [member for group in drawn for member in group["members"]] == members
    first = run(path, sweep={"lr": [1, 2]}, home=tmp_path / "home")
    second = first.rerun(sweep=["lr=1..2"])
    for each in (first, second):
        assert sorted(each.wait().history.tasks) == members
    refused = exp("graph", "latest", "--sweep", "lr=1,2", code=2).stderr
    assert "its params are fixed" in refused
