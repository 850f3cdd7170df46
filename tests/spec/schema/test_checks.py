from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.extent import amount

from nemorun_cli.errors import NotFoundError
from nemorun_cli.model.problems import dotted
from nemorun_cli.spec.schema import checks, reference, validator, walk

SCHEMA = walk.experiment()


def told(data: Any) -> dict[str, str]:
    return {dotted(finding.place): finding.message for finding in checks.check_experiment(data)}


def task(**keys: Any) -> dict[str, Any]:
    return {"tasks": {"a": {"inline": "true", **keys}}}


def test_schema_is_a_schema() -> None:
    """The published schema is valid by JSON Schema 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)


def described(part: Any, path: str) -> list[str]:
    missing = []
    for name, entry in part.get("properties", {}).items() if isinstance(part, dict) else ():
        if not entry.get("description"):
            missing.append(f"{path}.{name}")
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        if key not in ("examples", "default"):
            missing += described(child, f"{path}.{key}")
    return missing


def test_every_key_has_a_description() -> None:
    """Editors and `exp schema` have something to say on every key."""
    assert described(SCHEMA, "") == []


def examples(part: Any) -> list[tuple[Any, Any]]:
    if isinstance(part, list):
        return [found for child in part for found in examples(child)]
    if not isinstance(part, dict):
        return []
    own = (
        [(part, example) for example in part.get("examples", ())]
        if isinstance(part.get("examples"), list)
        else []
    )
    return own + [found for key, child in part.items() if key != "examples" for found in examples(child)]


def test_every_example_is_valid() -> None:
    """What the schema gives as an example is right by the schema."""
    for part, example in examples(SCHEMA):
        check = validator.compiled({**part, "$defs": SCHEMA["$defs"]})
        assert check(example), example


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        ({"nam": "x", "tasks": {"a": {"inline": "x"}}}, "nam", "unknown key 'nam'"),
        ({}, "", "needs the key 'tasks'"),
        ({"tasks": {}}, "tasks", "must not be empty"),
        ({"version": 2, **task()}, "version", "must be 1, not 2"),
        ({"env": {"EXP_X": 1}, **task()}, "env.EXP_X", "'EXP_X' is not the name of an environment variable"),
        ({"env": {"A": None}, **task()}, "env.A", "must be text, a number or a boolean"),
        (task(matrix={}), "tasks.a.matrix", "must not be empty"),
        (task(matrix=[1]), "tasks.a.matrix", "must be a mapping of axes, each with a list of values"),
        (task(matrix={"lr": []}), "tasks.a.matrix.lr", "must not be empty"),
        (
            task(matrix={"lr": 0.1}),
            "tasks.a.matrix.lr",
            "must be a list of values: texts, numbers, booleans, not 0.1",
        ),
        (task(matrix={"lr": [[1]]}), "tasks.a.matrix.lr.0", "must be text, a number or a boolean, not [1]"),
        (task(matrix={"l r": [1]}), "tasks.a.matrix.l r", "'l r' is not the name of an axis"),
        (
            task(matrix={"a": [1], "max_failures": "0%"}),
            "tasks.a.matrix.max_failures",
            "a percentage such as 5%",
        ),
        (
            task(matrix={"a": [1], "zip": 3}),
            "tasks.a.matrix.zip",
            "must be a list of axes, or a list of such lists",
        ),
        (task(dependencies=[{"task": "b"}]), "tasks.a.dependencies.0", "needs the key 'same'"),
        (
            task(dependencies=[{"task": "b", "same": "seed"}]),
            "tasks.a.dependencies.0.same",
            "must be one of matrix",
        ),
        ({"tasks": {"a": {}}}, "tasks.a", "has nothing to run"),
        ({"tasks": {"a": {"inline": "x", "script": "y"}}}, "tasks.a.inline", "has script and inline"),
        ({"tasks": {"a": 3}}, "tasks.a", "must be a mapping, not 3"),
        ({"tasks": {"../x": {"inline": "x"}}}, "tasks.../x", "'../x' is not a name"),
        ({"tasks": {"latest": {"inline": "x"}}}, "tasks.latest", "'latest' is not a name"),
        ({"tasks": {"12": {"inline": "x"}}}, "tasks.12", "'12' is not a name"),
        ({"tasks": {"attempt-1": {"inline": "x"}}}, "tasks.attempt-1", "'attempt-1' is not a name"),
        ({"tasks": {"a" * 65: {"inline": "x"}}}, "tasks." + "a" * 65, "is not a name"),
        ({"tasks": {"a\n": {"inline": "x"}}}, "tasks.a\n", "is not a name"),
        (task(timeout="soon"), "tasks.a.timeout", "must be a duration: 90s, 10m, 2h, 1d, 1h30m, or a"),
        (task(timeout=-1), "tasks.a.timeout", "must be a duration"),
        (task(retry=3), "tasks.a.retry", "must be a mapping such as {limit: 2}, not 3"),
        (task(retry={"limt": 3}), "tasks.a.retry.limt", "unknown key 'limt'"),
        (task(retry={"on": ["oop"]}), "tasks.a.retry.on.0", "must be any, exit, oom"),
        (task(env_file=[{"pth": "x"}]), "tasks.a.env_file.0.pth", "unknown key 'pth'"),
        (task(env_inherit="al"), "tasks.a.env_inherit", "must be all, none, or a list of names"),
        (task(args=3), "tasks.a.args", "must be a list of texts and numbers, or a mapping"),
        (task(args=[[1]]), "tasks.a.args.0", "must be text, a number or a boolean"),
        (task(artifacts=["../x"]), "tasks.a.artifacts.0", "must be a glob inside the workdir"),
        (task(stop_signal="TREM"), "tasks.a.stop_signal", "must be the name of a signal"),
        (task(secrets={"A": "x"}), "tasks.a.secrets.A", "must be exactly one of {env: NAME}"),
        (
            {"tasks": {"g": {"group": [{"inline": "x", "until": "all"}]}}},
            "tasks.g.group.0.until",
            "unknown",
        ),
        ({"params": {"x": {"type": "float"}}, **task()}, "params.x.type", "must be one of string, number"),
        ({"prefix": "a/../b", **task()}, "prefix", "must be a prefix"),
        ({"executors": {"x": {}}, **task()}, "executors.x", "needs the key 'type'"),
        ({"run": {"max_parallel": 0}, **task()}, "run.max_parallel", "must be a whole number from 1 on"),
    ],
)
def test_wrong_form_is_one_problem_at_its_place(data: Any, place: str, message: str) -> None:
    """What is wrong with the form is told once, at the value or key that has to change, in plain words."""
    found = told(data)

    assert list(found) == [place]
    assert message in found[place]


def test_unknown_key_comes_with_the_nearest_known_one() -> None:
    """A mistyped key is refused with the key that was meant."""
    (finding,) = checks.check_experiment(task(dependancies=[]))

    assert finding.hint is not None
    assert "did you mean dependencies?" in finding.hint


KEYS = st.sampled_from(
    [
        "version",
        "name",
        "tags",
        "env",
        "env_file",
        "params",
        "executors",
        "run",
        "tasks",
        "a",
        "inline",
        "script",
        "command",
        "group",
        "timeout",
        "retry",
        "limit",
        "on",
        "type",
        "default",
        "required",
        "when",
        "args",
        "secrets",
        "path",
        "secret",
        "matrix",
        "EXP_X",
    ]
)
SCALARS = st.sampled_from(
    ["x", "", "1h", "all", "any", "local", "true", 0, 1, 1.0, 2.5, -1, True, False, None]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TASKS = st.dictionaries(KEYS, TREES, max_size=4).map(lambda keys: {"tasks": {"a": {"inline": "x", **keys}}})


QUICK = validator.compiled(SCHEMA)
FULL = Draft202012Validator(SCHEMA)


@settings(max_examples=amount(300, long=5000))
@given(st.dictionaries(KEYS, TREES, max_size=4) | TASKS)
def test_quick_check_agrees_with_jsonschema(data: Any) -> None:
    """The compiled check says yes exactly where jsonschema finds nothing wrong."""
    assert QUICK(data) == FULL.is_valid(data)


PARTS: list[dict[str, Any]] = [
    {"enum": [1, "x"]},
    {"const": 1},
    {"uniqueItems": True},
    {"not": {"uniqueItems": True}},
    {"type": "integer"},
    {"type": ["number", "null"]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"if": {"type": "object", "required": ["a"]}, "then": {"minProperties": 2}, "else": {"maxItems": 1}},
    {"properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}},
    {"allOf": [{"properties": {"a": True}}], "properties": {"on": True}, "unevaluatedProperties": False},
    {"propertyNames": {"maxLength": 4}, "maxProperties": 1},
    {"items": {"maximum": 1, "minLength": 1}, "minItems": 1},
]


@settings(max_examples=amount(300, long=5000))
@given(st.sampled_from(PARTS), TREES)
def test_each_keyword_agrees_with_jsonschema(part: dict[str, Any], data: Any) -> None:
    """Every keyword that the compiled check knows means what it means to jsonschema."""
    assert validator.compiled(part)(data) == Draft202012Validator(part).is_valid(data)


@pytest.mark.parametrize(
    "part", [{"contains": {}}, {"$ref": "https://x"}, {"enum": [None]}, {"prefixItems": []}]
)
def test_unknown_keywords_are_left_to_jsonschema(part: dict[str, Any]) -> None:
    """A keyword that the quick check does not know is never passed over, and the check still works."""
    with pytest.raises(validator.UnsupportedError):
        validator.compiled(part)


def test_schema_of_others_may_hold_any_keyword() -> None:
    """An executor's own schema is checked by jsonschema where the quick check cannot."""
    own = {"type": "object", "dependentRequired": {"a": ["b"]}}

    assert checks.check({"a": 1, "b": 2}, own) == []
    assert len(checks.check({"a": 1}, own, ("executors", "x"))) == 1


def test_part_of_the_schema_is_described_for_people() -> None:
    """`exp schema tasks.retry` tells each key with its meaning, form, default and an example."""
    text = reference.describe("tasks.retry")

    for expected in (
        "limit",
        "The maximum number of retries of a failed task.",
        "default: 0",
        "example: 30s",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "tasks"),
        ("tasks.train.retry", "limit"),
        ("run.max_parallel", "whole number"),
        ("executors", "type"),
        ("tasks.group.0.name", "<group>/<name>"),
        ("params.lr.minimum", "smallest"),
        ("tasks.matrix", "combination"),
    ],
)
def test_paths_of_the_schema_are_lenient(path: str, expected: str) -> None:
    """Names of tasks and numbers of items may be left out or be anything."""
    assert expected in reference.describe(path)


def test_unknown_path_of_the_schema_is_an_error_with_the_known_keys() -> None:
    """A path that is not there is refused with what is."""
    with pytest.raises(NotFoundError) as caught:
        reference.describe("tasks.retry.limt")

    assert caught.value.hint is not None
    assert "did you mean limit?" in caught.value.hint


def test_schema_file_is_plain_json() -> None:
    """The file is where the package finds it, and names itself."""
    document = json.loads((walk.folder() / "experiment.schema.json").read_text())

    assert document["$id"].endswith("experiment.schema.json")


def test_an_unknown_key_hides_no_other_problem() -> None:
    """Next to an unknown key a missing one is reported: at the top, in tasks, handlers and groups."""
    data = {
        "jobs": {},
        "on_exit": {"h": {"foo": 1}},
        "plugins": [{"foo": 1}],
    }
    found = told(data)
    assert found[""] == "needs the key 'tasks'"
    assert found["jobs"] == "unknown key 'jobs'"
    assert found["on_exit.h"] == "has nothing to run"
    assert found["plugins.0"] == "needs the key 'uses'"
    assert {"on_exit.h.foo", "plugins.0.foo"} <= found.keys()
    nested = told({"tasks": {"a": {"foo": 1}, "g": {"group": [{"foo": 1}]}}})
    assert nested["tasks.a"] == nested["tasks.g.group.0"] == "has nothing to run"


def test_a_misspelled_key_is_one_problem() -> None:
    """A required key that is written wrong is reported once, as unknown, with the right one as the hint."""
    for data in ({"task": {}}, {"tasks": {"a": {"comand": "true"}}}, {"tasks": {"a": {"comand": 1, "x": 1}}}):
        messages = [message for message in told(data).values() if not message.startswith("unknown key")]
        assert messages == []
    (finding,) = checks.check_experiment({"jobs": {"a": {}}})[:1]
    assert finding.hint == "did you mean tasks?"
