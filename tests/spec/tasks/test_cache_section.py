"""The key `cache` of tasks: where it comes from, how it is stored, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity, Spec, Task
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.replication.masked_spec import masked
from nemorun_cli.spec import load
from nemorun_cli.spec.expressions import evaluate
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.storage import stored_spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the spec, with a few files."""
    for name in ("train.py", "lib/step.py", "data/a.csv", "run.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def step(lr): pass\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(tasks: dict[str, Any], **header: Any) -> Spec:
    """The spec of these tasks."""
    return load.validate({"name": "a", **header, "tasks": tasks})


def problems(tasks: dict[str, Any], **header: Any) -> list[str]:
    """The problems of a spec with these tasks, each with its place."""
    with pytest.raises(SpecError) as caught:
        resolved(tasks, **header)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_the_nearest_rule_counts(folder: Path) -> None:
    """A member's rule replaces that of its group, and this one that of `defaults`; false is none."""
    spec = resolved(
        {
            "plain": {"inline": "x"},
            "g": {"group": [{"inline": "x"}, {"inline": "x", "cache": False}], "cache": {"also": [1]}},
            "m": {
                "inline": "x",
                "matrix": {"n": [1, 2]},
                "cache": {"inputs": ["./data//*.csv", "data/*.csv"], "outputs": ["m-${{ matrix.n }}"]},
            },
        },
        defaults={"cache": True},
        on_exit={"h": {"inline": "x"}},
    )
    inputs = ("data/*.csv",)
    assert {task.id: task.cache for task in spec.tasks} == {
        "plain": CacheRule(),
        "g/0": CacheRule(also=(1,)),
        "g/1": None,
        "m/n=1": CacheRule(inputs=inputs, outputs=("m-1",)),
        "m/n=2": CacheRule(inputs=inputs, outputs=("m-2",)),
        "on_exit/h": None,
    }
    document = json.loads(json.dumps(spec.to_json()))
    assert stored_spec.problem(document, folder) is None
    assert Spec.from_json(document) == spec
    document["tasks"][0]["cache"] = {"inputs": "data"}
    assert "cache" in (stored_spec.problem(document, folder) or "")


def test_the_module_of_a_partial_is_an_input(folder: Path) -> None:
    """So are those of callables in its arguments; installed ones are not."""
    (folder / "a[1]").mkdir()
    task = {
        "partial": "lib.step:step",
        "args": {"lr": {"_target_": "train:step", "lr": {"_target_": "json:loads", "_args_": ["1"]}}},
        "cache": {"inputs": ["data"]},
    }
    spec = resolved({"a": task, "b": {**task, "workdir": "a[1]", "cache": True}})
    assert spec.tasks[0].cache == CacheRule(inputs=("data", "lib/step.py", "train.py"))
    assert spec.tasks[1].cache == CacheRule(inputs=("../lib/step.py", "../train.py"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "task",
    [
        {"command": ["python", "train.py"]},
        {"command": "python -m lib.step"},
        {"inline": "set -e\npython3 -u -m lib.step --lr 0.1"},
        {"inline": "if true; then bash ./run.sh; fi"},
        {"inline": 'python "train.py" >out'},
        {"script": "run.sh", "args": ["lib/step.py"]},
    ],
)
def test_a_program_of_the_folder_must_be_declared(task: dict[str, Any]) -> None:
    """What a task seems to run is among its inputs, its outputs, or shipped; else the spec is refused."""
    (named,) = problems({"a": {**task, "cache": True}})
    assert named.startswith("tasks.a.cache: the task runs ")
    assert named.endswith("whose changes would go unnoticed")
    for rule in ({"inputs": ["*.*", "lib"]}, {"inputs": ["**"]}, {"outputs": ["**"]}):
        resolved({"a": {**task, "cache": rule}})
    resolved({"a": {**task, "cache": True, "packager": {"type": "pattern", "include": ["**"]}}})


def test_a_masked_spec_can_be_read(folder: Path) -> None:
    """A value of the environment is masked in globs and in `also`, and the rule is still one."""
    rule = {"inputs": ["data/${{ env.KEY }}*", "data"], "also": ["${{ env.KEY }}"]}
    spec = resolved(
        {"t": {"inline": "x", "dependencies": ["p"], "cache": rule}, "p": {"inline": "x"}},
        env={"KEY": "hidden-1"},
    )
    document = json.loads(masked(json.loads(json.dumps(spec.to_json()))))
    assert stored_spec.problem(document, folder) is None
    assert "hidden-1" not in json.dumps(document)
    (cache,) = (task.cache for task in Spec.from_json(document).tasks if task.cache is not None)
    assert cache.inputs[1:] == ("data",)


@pytest.mark.usefixtures("folder")
def test_what_only_looks_like_a_program_is_none() -> None:
    """Comments, data, programs of the system, missing files and texts in a URL are not declared."""
    text = "# train.py\ncat data/a.csv; /bin/sh -c true; python gone.py; curl https://x.org/train.py"
    assert resolved({"a": {"inline": text, "cache": True}}).tasks[0].cache == CacheRule()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"outputs": ["/abs"]}, "outputs.0: /abs leaves the folder of the task"),
        ({"outputs": ["~/x"]}, "outputs.0: ~/x leaves the folder of the task"),
        ({"outputs": ["a/../../x"]}, "outputs.0: a/../../x leaves the folder of the task"),
        ({"outputs": ["$EXP_SHARED/../x"]}, "outputs.0: $EXP_SHARED/../x leaves the folder of the task"),
        ({"inputs": ["${EXP_SHARED}/../x"]}, "inputs.0: ${EXP_SHARED}/../x leaves $EXP_SHARED"),
        ({"inputs": ["$HOME/x"]}, "inputs.0: $HOME/x begins with a variable that is not filled in"),
        ({"inputs": ["a*/../b"]}, "inputs.0: a*/../b has .. after a wildcard"),
        ({"inputs": ["./"]}, "inputs.0: ./ is a whole folder, not a glob of files in it"),
        ({"inputs": ["data/*.tsv"]}, "inputs: no file in {folder} matches data/*.tsv"),
        ({"inputs": ["/no/such"]}, "inputs: no file in / matches no/such"),
        ({"inputs": ["$EXP_SHARED/x"]}, "inputs: no task runs before a that could write $EXP_SHARED/x"),
        (
            {"inputs": ["data/**"], "outputs": ["data/a.csv"]},
            "outputs.0: is among the inputs, too (data/**): each run would change what it depends on",
        ),
        ({"env": ["TOKEN"]}, "env.0: TOKEN is a secret, which never counts"),
        ({"env": ["LANG"]}, "env.0: the task does not inherit LANG"),
        ({"input": []}, "input: unknown key 'input'"),
        ({"env": ["A B"]}, 'env.0: must be the name of an environment variable, not "A B"'),
        ("yes", ": must be true, false, or a mapping"),
    ],
)
def test_a_wrong_rule_has_its_place(folder: Path, rule: Any, message: str) -> None:
    """What cannot be meant is refused with its place."""
    secrets = {"TOKEN": {"env": "PATH"}}
    task = {"inline": "x", "cache": rule, "env_inherit": "none", "secrets": secrets}
    (problem,) = problems({"a": task})
    assert problem.startswith(
        f"tasks.a.cache{'' if message.startswith(':') else '.'}{message.replace('{folder}', str(folder))}"
    )


@pytest.mark.usefixtures("folder")
def test_an_input_may_be_written_by_an_earlier_task() -> None:
    """A glob without a match is refused only where nothing runs before the task."""
    rule = {"inputs": ["later/*.csv", "$EXP_SHARED/x"]}
    resolved({"first": {"inline": "x"}, "a": {"inline": "x", "dependencies": ["first"], "cache": rule}})


@pytest.mark.usefixtures("folder")
def test_members_that_need_each_other_are_not_reused() -> None:
    """So are handlers; `cache: false` leaves a group out of the defaults."""
    members = [{"name": "b", "inline": "x"}, {"name": "c", "inline": "x"}]
    group = {"group": members, "cache": True}
    assert [text.partition(":")[0] for text in problems({"a": {**group, "together": True}})] == [
        "tasks.a.cache"
    ]
    assert [text.partition(":")[0] for text in problems({"a": {**group, "until": "b"}})] == ["tasks.a.cache"]
    (handler,) = problems({"a": {"inline": "x"}}, on_exit={"h": {"inline": "x", "cache": True}})
    assert handler.startswith("on_exit.h.cache: does not apply to handlers")
    resolved({"a": {"group": members, "together": True, "cache": False}}, defaults={"cache": True})


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("one", "other"),
    [("m.pt", "m.pt"), ("m", "m/a.pt"), ("*.pt", "m.*"), ("a/**/m.pt", "a/b/m.pt"), ("m-[ab]", "m-[bc]")],
)
def test_outputs_belong_to_one_task(one: str, other: str) -> None:
    """Two tasks that could write one file are refused; files of different folders or names are not."""
    first = {"inline": "x", "cache": {"outputs": [one]}}
    second = {"inline": "x", "cache": {"outputs": [other]}}
    (problem,) = problems({"a": first, "b": second})
    assert problem.startswith("tasks.b.cache.outputs: a and b both write ")
    resolved({"a": first, "b": {**second, "workdir": "lib"}})
    resolved({"a": first, "b": {"inline": "x", "cache": {"outputs": [f"$EXP_SHARED/{other}"]}}})


@pytest.mark.usefixtures("folder")
def test_members_of_a_sweep_have_files_of_their_own() -> None:
    """The remedy names the values of the matrix; a thousand members are checked at once."""
    sweep = {"inline": "x", "matrix": {"n": list(range(1000))}, "cache": {"outputs": ["m.pt"]}}
    with pytest.raises(SpecError) as caught:
        resolved({"a": sweep})
    (problem,) = caught.value.problems
    assert "${{ matrix.n }}" in (problem.hint or "")
    resolved({"a": {**sweep, "cache": {"outputs": ["m-${{ matrix.n }}/*.pt"]}}})


@pytest.mark.usefixtures("folder")
def test_trials_have_files_of_their_own() -> None:
    """Their values are filled in when they are known, as are outputs of tasks."""
    study = {"params": {"x": {"type": "float", "low": 0, "high": 1}}, "metric": "l", "goal": "minimize"}
    trials = {"inline": "x", "search": {**study, "trials": 3, "sampler": "random"}}
    with pytest.raises(SpecError) as caught:
        resolved({"a": {**trials, "cache": {"outputs": ["m.pt"]}}})
    (problem,) = caught.value.problems
    assert "${{ search.NAME }}" in (problem.hint or "")
    rule = {"outputs": ["m-${{ search.x }}.pt"], "also": ["${{ search.x // 2 }}"]}
    task = resolved({"a": {**trials, "cache": rule}}).tasks[2]
    assert task.cache == CacheRule(outputs=tuple(rule["outputs"]), also=tuple(rule["also"]))
    assert task.late == ("/cache/outputs/0", "/cache/also/0")
    needs = {"inline": "x", "dependencies": ["p"], "cache": {"inputs": ["${{ tasks.p.outputs.path }}"]}}
    assert resolved({"p": {"inline": "x"}, "t": needs}).tasks[1].late == ("/cache/inputs/0",)


@pytest.mark.parametrize("value", ["../up", "/abs", "a/../../b", "~", ""])
def test_a_value_leads_no_output_out_of_the_folder(value: str) -> None:
    """What a task reports is checked as what a spec has."""
    (task,) = resolved({"t": {"inline": "x", "cache": {"outputs": ["m"]}}}).tasks
    late = replace(task, cache=CacheRule(outputs=("${{ tasks.p.outputs.v }}",)), late=("/cache/outputs/0",))
    spec = Spec(name="a", folder="/", tasks=(late,))
    identity = Identity(id="a_1", name="a", directory="/a_1")

    def filled(found: str) -> Task:
        outputs = {"p": {"v": found}}
        return evaluate.fill_late(
            late, spec=spec, identity=identity, outputs=outputs, evaluator=lambda code, _: code
        )

    assert filled("./m.pt").cache == CacheRule(outputs=("./m.pt",))
    with pytest.raises(TemplateError, match="leaves the folder of the task"):
        filled(value)


@pytest.mark.usefixtures("folder")
def test_files_on_another_host_are_not_kept() -> None:
    """Behind a tunnel a task is reused by its values and artifacts; in a container also by its files."""
    task = {"inline": "x", "executor": "far", "cache": {"outputs": ["m.pt"]}}
    tunnel = {"type": "slurm", "tunnel": {"host": "h", "job_dir": "/far"}}
    (problem,) = problems({"a": task}, executors={"far": tunnel})
    assert problem.startswith("tasks.a.cache.outputs: cannot be kept: the files of far are on another host")
    resolved({"a": task}, executors={"far": {"type": "docker", "image": "debian"}})


@pytest.mark.usefixtures("folder")
def test_what_differs_each_time_is_never_reused() -> None:
    """The id and the folder of the experiment are refused where they count, and its name is not."""
    where = "${{ experiment.dir }}/x"
    for task in (
        {"inline": f"echo {where}"},
        {"inline": "x", "env": {"A": where}},
        {"command": ["x", where]},
    ):
        (problem,) = problems({"a": {**task, "cache": True}})
        assert problem.endswith("is different in each experiment, so that a could never be reused")
        resolved({"a": task, "b": {"inline": "x", "cache": True}})
    sweep = {"inline": "echo ${{ experiment.id }}${{ matrix.n }}", "matrix": {"n": [1, 2]}, "cache": True}
    assert len(problems({"a": sweep})) == 1
    assert len(problems({"a": {"inline": "x", "cache": True}}, defaults={"entrypoint": ["bash", where]})) == 1
    resolved({"a": {"inline": "x", "entrypoint": "bash", "cache": True}}, defaults={"entrypoint": where})
    resolved({"a": {"inline": "${{ experiment.name }}", "description": where, "cache": True}})


def test_what_has_no_result_cannot_be_refreshed() -> None:
    """A name in `run.refresh` means at least one task with `cache`; a wrong rule is one problem, not two."""
    tasks = {"plain": {"inline": "x"}, "g": {"group": [{"inline": "x"}, {"inline": "x", "cache": True}]}}
    assert resolved(tasks, run={"refresh": ["g"]}).run.refresh == ("g/0", "g/1")
    assert problems(tasks, run={"refresh": ["plain", "g/1", "h"]}) == [
        "run.refresh: no task is called 'h'",
        "run.refresh: plain has no cache, so it has no earlier result and runs in any case",
    ]
    wrong = {"t": {"inline": "x", "cache": {"outputs": ["../t"]}}}
    assert len(problems(wrong, run={"refresh": ["t"]})) == 1
