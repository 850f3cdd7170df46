"""A search with choices and a matrix of the same choices give the same tasks, in every key of a task.

The keys are those of the schema: a new one fails here until VALUES has two values for it.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.extent import IS_LONG

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity, Spec, Task
from nemorun_cli.spec import load
from nemorun_cli.spec.expressions import evaluate, searched_keys
from nemorun_cli.spec.schema.walk import experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


IDENTITY: Final = Identity("x_1", "x", "/experiments/x/x_1")
SEARCH: Final = {"metric": "loss", "goal": "minimize", "sampler": "grid"}
BODIES: Final = ("script", "inline", "command", "partial")
SHARED: Final = {"group", "matrix", "search", "dependencies", "fail_fast", "together", "until", "best"}
NOT_COMPARED: Final = {"id", "group", "matrix", "searched", "late", "variants", "index"}
PLUGIN: Final = {"uses": "notify", "with": {"command": ["true"], "on": ["failure"]}}

VALUES: Final[dict[str, list[Any]]] = {  # two or more values of each key
    "script": ["a.sh", "b.sh"],
    "inline": ["echo a", "echo b"],
    "command": [["echo", "a"], ["echo", "b"], ["echo", "c d"], ["echo", 1], "echo x"],
    "partial": ["own_calls:first", "own_calls:second"],
    "args": [["a", 1], ["b", 2], []],
    "when": [True, False],
    "description": ["one", "two"],
    "executor": ["one", "two", "local"],
    "entrypoint": [["bash", "-e"], ["bash", "-u"], "sh", "env bash"],
    "python": [{"venv": "venv-a"}, {"venv": "venv-b"}, "none"],
    "env": [{"A": "1"}, {"A": "2"}, {"A": 3}, {"A": True}, {}],
    "env_file": ["a.env", "b.env", ["a.env"], ["a.env", "b.env"]],
    "env_inherit": [["A", "B"], ["A", "C"], "all", "none"],
    "secrets": [{"T": {"env": "T"}}, {"U": {"env": "T"}}, {}],
    "workdir": ["dir-a", "dir-b"],
    "artifacts": [["a", "b"], ["a", "c"]],
    "tail_logs": [True, False],
    "stderr_to_stdout": [True, False],
    "retry": [
        {"limit": 1, "delay": "1s"},
        {"limit": 2, "delay": "1s"},
        {"on": [1, 2]},
        {"on": [1, 3]},
        {"on": ["any"]},
        {"on": [{"log": "a"}]},
        {"on": [{"log": "b"}]},
        {"on": "timeout"},
        {"limit": 3, "delay": 2, "backoff": 2, "max_delay": "1m"},
        {"limit": 3, "delay": 2, "backoff": 1.5, "max_delay": "1m"},
        {"limit": 3, "delay": 3, "backoff": 1.5, "max_delay": "1m"},
        {"limit": 3, "delay": 3, "backoff": 1.5, "max_delay": "2m"},
    ],
    "timeout": ["1m", 30, "90s", 1.5],
    "stop_signal": ["INT", "SIGTERM"],
    "stop_grace": ["1s", 20],
    "allow_failure": [True, False],
    "dependency_type": ["afterok", "afterany", "afternotok"],
    "resources": [
        {"cpus": 1, "memory": "1G"},
        {"cpus": 0.5, "memory": "1G"},
        {"cpus": 0.5, "memory": "512M"},
        {"cpus": 0.5},
        {"gpus": 0},
    ],
    "plugins": [
        [PLUGIN],
        [{**PLUGIN, "with": {"command": ["false"], "on": ["failure"]}}],
        [{**PLUGIN, "with": {"command": ["false"], "on": ["success"]}}],
        [PLUGIN, PLUGIN],
        [],
    ],
    "launcher": [
        {"torchrun": {"nproc_per_node": 1}},
        {"torchrun": {"nproc_per_node": 2}},
        {"wrap": ["nice", "-n", "1"]},
        {"wrap": ["nice", "-n", "2"]},
        "torchrun",
    ],
    "metrics": [{"a": "x (?P<x>.*)"}, {"a": "y (?P<y>.*)"}, {"b": "json"}, {"a": ["json", "z (?P<z>.*)"]}],
    "stop": [
        {"metric": "a", "patience": 1, "goal": "minimize"},
        {"metric": "a", "patience": 2, "goal": "minimize"},
        {"metric": "a", "patience": 2, "goal": "maximize"},
        {"metric": "b", "patience": 2, "goal": "maximize", "min_delta": 1},
        {"metric": "b", "patience": 2, "goal": "maximize", "min_delta": 0.5},
        {"metric": "b", "above": 2},
        {"metric": "b", "above": 3},
        {"metric": "b", "below": 3},
        {"metric": "b", "below": 4},
        [{"nan": "a"}],
        [{"nan": "b"}],
    ],
    "packager": [
        "none",
        {"type": "pattern", "include": ["*.sh"], "max_size": "1M"},
        {"type": "pattern", "include": ["*.env"], "max_size": "1M"},
        {"type": "pattern", "include": ["*.env"], "max_size": "2M"},
        "pattern",
        "moon",
    ],
    "cache": [
        True,
        False,
        {"inputs": ["a.txt"], "also": [1]},
        {"inputs": ["b.txt"], "also": [1]},
        {"inputs": ["b.txt"], "also": [2]},
        {"inputs": ["b.txt"], "outputs": ["c.txt"]},
        {"inputs": ["b.txt"], "outputs": ["d.txt"]},
        {"inputs": "b.txt"},
    ],
}


def keys_of_schema() -> set[str]:
    """All keys of a task."""
    parts = experiment()["$defs"]
    return {key for name in ("task", "ownKeys", "commonKeys") for key in parts[name]["properties"]}


def cases() -> Iterator[tuple[str, Any, list[Any]]]:
    """Each key with a template and the choices of the param in it: the whole value, and parts of it."""
    for key, values in VALUES.items():
        if key not in ("command", "entrypoint"):  # of which an expression is one word
            yield key, "${{ ROOT.v }}", values
            yield key, "${{ ROOT.v }}", values[:1]
        for number, value in enumerate(values):
            for other in values[number + 1 :]:
                if (found := difference(value, other)) is not None:
                    yield key, *found


def difference(value: Any, other: Any) -> tuple[Any, list[Any]] | None:
    """A value with a param in place of the only part in which another one differs, and these two parts."""
    if isinstance(value, dict) and isinstance(other, dict) and value.keys() == other.keys():
        parts: list[Any] = list(value)
    elif isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        parts = list(range(len(value)))
    else:
        return None
    differing = [part for part in parts if json.dumps(value[part]) != json.dumps(other[part])]
    if len(differing) != 1:
        return None
    (part,) = differing
    template, choices = difference(value[part], other[part]) or ("${{ ROOT.v }}", [value[part], other[part]])
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[part] = template
    return copy, choices


def some(found: list[tuple[str, Any, list[Any]]]) -> list[tuple[str, Any, list[Any]]]:
    """The first case of each key and kind, and a few of the others."""
    first: dict[tuple[str, bool, bool], tuple[str, Any, list[Any]]] = {}
    for key, template, choices in found:
        first.setdefault((key, isinstance(template, str), len(choices) > 1), (key, template, choices))
    return [*first.values(), *found[::7]]


CASES: Final = list(cases()) if IS_LONG else some(list(cases()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the values name."""
    made: Path = tmp_path_factory.mktemp("spec")
    for name in ("a", "b"):
        (made / f"{name}.sh").write_text("echo")
        (made / f"{name}.env").write_text(f"FROM={name}\n")
        (made / f"{name}.txt").write_text(name)
        (made / f"dir-{name}").mkdir()
        (made / f"venv-{name}" / "bin").mkdir(parents=True)
        (made / f"venv-{name}" / "bin" / "python").symlink_to("/usr/bin/python3")
        (made / f"venv-{name}" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (made / "own_calls.py").write_text("def first(): ...\ndef second(): ...\n")
    return made


def spec_of(folder: Path, key: str, template: Any, section: dict[str, Any] | None, root: str) -> Spec:
    """The spec with a task that has a param in a key."""
    text = json.loads(json.dumps(template).replace("ROOT", root))
    body = (
        {} if key in BODIES else {"inline": "true"} if key in ("entrypoint", "args") else {"command": "true"}
    )
    task = {**body, "dependencies": ["first"], key: text} | ({root: section} if section else {})
    tasks = {"first": {"command": "true"}, "t": task}
    executors = {name: {"type": "local", "env": {"WHO": name}} for name in ("one", "two")}
    path = folder / "spec.yaml"
    path.write_text(json.dumps({"name": "x", "tasks": tasks, "executors": executors}))
    return load.resolve(load.read(path), IDENTITY)


def outcome(
    folder: Path, key: str, template: Any, section: dict[str, Any] | None = None, root: str = ""
) -> Any:
    """The spec, or the places and messages of its problems, without the member that they name."""
    try:
        return spec_of(folder, key, template, section, root)
    except SpecError as error:
        return [
            (problem.path, problem.message.partition(" (of ")[0].replace("matrix.", "search."))
            for problem in error.problems
        ]


def compared(task: Task) -> dict[str, Any]:
    """The fields of a task that are equal for a member of a matrix and a trial."""
    return {item.name: getattr(task, item.name) for item in fields(task) if item.name not in NOT_COMPARED}


def trial_with(spec: Spec, value: Any) -> Task:
    """The trial with a suggestion, as it is planned."""
    values = {"v": value}
    task = searched_keys.variant(spec.tasks[1], values)
    task = searched_keys.with_values(task, values, names=["v"], params={}, env={})
    common: dict[str, Any] = {"spec": spec, "identity": IDENTITY, "outputs": {}, "search": values}
    when = task.when if task.when is None else evaluate.decide_when(task, **common, evaluator=no_helper)
    return replace(evaluate.fill_late(task, **common, evaluator=no_helper), when=when)


def no_helper(code: str, _: Any) -> Any:
    raise AssertionError(code)


def with_choice(template: Any, choice: Any) -> Any:
    """A template with a value in place of the param."""
    return json.loads(json.dumps(template).replace('"${{ ROOT.v }}"', json.dumps(choice)))


def uses(spec: Spec, task: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The plugins of a task."""
    own = (use for use in spec.plugins if task in (use.tasks or ()) and use.is_for(values))
    return [(use.uses, use.options, use.place) for use in own]


def test_each_key_of_a_task_has_values() -> None:
    """A key that the schema has is compared below."""
    assert keys_of_schema() - SHARED == VALUES.keys()


@pytest.mark.parametrize("case", range(len(CASES)))
def test_a_search_with_choices_equals_a_matrix(folder: Path, case: int) -> None:
    """Member for member, what runs and how is the same; what is wrong with one is wrong with the other."""
    key, template, choices = CASES[case]
    section = {**SEARCH, "params": {"v": choices}, "trials": len(choices)}
    of_search = outcome(folder, key, template, section, "search")
    if any(isinstance(choice, (list, dict)) for choice in choices):  # which a matrix cannot have
        expected = [outcome(folder, key, with_choice(template, choice)) for choice in choices]
    else:
        of_matrix = outcome(folder, key, template, {"v": choices}, "matrix")
        expected = [of_matrix] if isinstance(of_matrix, list) else [of_matrix] * len(choices)
    if wrong := [found for found in expected if isinstance(found, list)]:
        assert isinstance(of_search, list), of_search
        assert set(of_search) == {problem for found in wrong for problem in found}
        return
    assert isinstance(of_search, Spec), of_search
    stored = Spec.from_json(json.loads(json.dumps(of_search.to_json())))
    assert stored == of_search
    for number, (choice, spec) in enumerate(zip(choices, expected, strict=True)):
        member = spec.tasks[1 + number % (len(spec.tasks) - 1)]
        assert repr(compared(trial_with(stored, choice))) == repr(compared(member))
        assert uses(stored, "t/trial-0001", {"v": choice}) == uses(spec, member.id, {})


@pytest.mark.parametrize("key", sorted(SHARED - {"group", "matrix", "search"}))
@pytest.mark.parametrize("root", ["matrix", "search"])
def test_a_key_of_all_members_cannot_use_their_values(folder: Path, key: str, root: str) -> None:
    """Both are refused with the same words."""
    template: Any = {
        "dependencies": ["${{ ROOT.v }}"],
        "best": {"metric": "${{ ROOT.v }}", "goal": "minimize"},
    }.get(key, "${{ ROOT.v }}")
    section = {"v": ["a"]} if root == "matrix" else {**SEARCH, "params": {"v": ["a"]}, "trials": 1}
    found = outcome(folder, key, template, section, root)
    message = f"is one for all members, so it cannot use values of the {root}"
    assert any(path.startswith(f"tasks.t.{key}") and text.startswith(message) for path, text in found)
