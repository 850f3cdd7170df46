"""The published schemas, against their sources, all specs and documents, and `exp validate`."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import documents
from support.documents import DOCUMENTS, ROOT, blocks
from support.extent import amount

from nemorun_cli.errors import SpecError
from nemorun_cli.model.status import RETRIED_AS
from nemorun_cli.spec import load
from nemorun_cli.spec.schema import named_parts, published, subschemas, walk
from nemorun_cli.spec.yaml import parser
from nemorun_cli.spec.yaml.source import SpecSource, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SPECS = sorted((ROOT / "examples" / "specs").rglob("*.yaml"))


def validator(name: str) -> Draft202012Validator:
    """A validator that knows one published file and can read no other."""
    form = json.loads((walk.folder() / f"{name}.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(form, registry=referencing.Registry())


EXPERIMENT = validator("experiment")


def test_causes_of_retries_are_those_of_the_code() -> None:
    """`retry.on` lists each cause that a reason counts as, and `any`."""
    causes = walk.experiment()["$defs"]["retryCause"]["anyOf"][0]["enum"]
    assert set(causes) == {"any", *RETRIED_AS.values()}


def test_what_is_published_is_made_of_its_sources() -> None:
    """The schemas and the types of documents are those that schemas/sources/make.py makes."""
    script = ROOT / "schemas/sources" / "make.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", sorted(walk.folder().glob("*.json")), ids=lambda path: path.name)
def test_each_file_stands_alone(path: Path) -> None:
    """A schema is a valid one, and refers to nothing but its own definitions, all of which it uses."""
    form = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(form)
    used = set(subschemas.references(form))
    assert {target.split("/")[2] for target in used} == set(form.get("$defs", {}))
    assert all(target.startswith("#/$defs/") for target in used)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_are_valid(path: Path) -> None:
    """Each example, and each file that one extends or includes, is valid by the published file alone."""
    assert problems(parser.parse(open_source(path))) == []


def test_specs_of_the_documents_are_valid() -> None:
    """Each spec in a page of the documentation is valid by the published file alone."""
    texts = documents.specs()
    assert len(texts) > 10
    for text in texts:
        assert problems(parser.parse(SpecSource(text, file="spec"))) == [], text


def test_documents_of_the_documentation_are_valid() -> None:
    """Each JSON document in a page of the documentation is valid by the schema that it names."""
    examples = [
        json.loads(block.text)
        for path in DOCUMENTS
        for block in blocks(path)
        if block.language == "json" and '"schema": "exp.' in block.text and "…" not in block.text
    ]
    assert examples
    for document in examples:
        name = document["schema"].removeprefix("exp.").removesuffix("/1")
        assert [error.message for error in validator(name).iter_errors(document)] == []


def problems(spec: Any) -> list[str]:
    return [error.message for error in EXPERIMENT.iter_errors(spec)]


def spec(**keys: Any) -> dict[str, Any]:
    return {"tasks": {"a": {"command": "echo"}}, **keys}


def task(**keys: Any) -> dict[str, Any]:
    return {"tasks": {"a": {"command": "echo", **keys}}}


WRONG = [
    spec(executors={"c": {"type": "slurmm"}}),
    spec(executors={"c": {"type": "slurm", "tim": "1:00"}}),
    spec(executors={"c": {"type": "slurm", "nodes": []}}),
    spec(executors={"c": {"type": "docker", "image": "x", "time": "1:00"}}),
    spec(executors={"c": {"type": "docker", "image": "x", "healthcheck": {"tests": "x"}}}),
    spec(executors={"c": {"type": "local", "cpu": 1}}),
    spec(executors={"c": {"tim": "1:00"}}),
    spec(executors={"c": {"extends": "d", "tim": "1:00"}}),
    spec(executors={"c": {"type": "${{ params.type }}", "tim": "1:00"}}),
    spec(plugins=[{"uses": "notify", "with": {"onn": ["end"]}}]),
    spec(plugins=[{"uses": "notyfy"}]),
    spec(plugins=[{"uses": "notify", "with": {"webhook": {"secret": {"en": "HOOK"}}}}]),
    spec(plugins=[{"use": "notify"}]),
    spec(plugins=[{"uses": "env", "with": {"threads": "many"}}]),
    task(plugins=[{"uses": "env", "with": {"sett": {"A": 1}}}]),
    spec(packager="gti"),
    spec(packager={"type": "gti"}),
    spec(packager={"type": "git", "dirt": "ignore"}),
    spec(packager={"type": "pattern", "include": "src"}),
    spec(packager={"type": "hybrid", "parts": {"code": {"type": "git", "dirt": "ignore"}}}),
    spec(executors={"c": {"type": "local", "packager": {"type": "git", "globs": []}}}),
    task(launcher="torchrnu"),
    task(launcher="wrap"),
    task(launcher={"torchrun": {"nnode": 1}}),
    task(launcher={"torchrn": {}}),
    task(executor={"type": "local"}),
    task(timeout="soon"),
    task(retry={"limits": 1}),
    task(when="x ${{ params.a }}"),
    {"tasks": {"a": {"group": [{"comand": "echo"}]}}},
    task(args={"a": 1}),
    task(executor=["local", "local"]),
    {"tasks": {"a": {"partial": "m:f", "args": ["x"]}}},
    spec(env="${{ params.env }}"),
    spec(defaults={"timeuot": "1h"}),
    spec(on_exit={"h": {"command": "echo", "matrix": {"a": [1]}}}),
    spec(name="${{ params.name }}"),
    spec(params={"a": {"type": "${{ params.type }}"}}),
    spec(nam="x"),
    spec(extends="${{ params.base }}.yaml"),
    spec(include=["base.yaml", "${{ params.base }}"]),
    spec(folder="${{ params.folder }}"),
    task(timeout=0),
    task(timeout="0m"),
    spec(run={"timeout": 0.0}),
]
RIGHT = [
    spec(executors={"c": {"type": "${{ params.type }}", "time": "${{ params.time }}"}}),
    spec(executors={"c": {"type": "slurm", "nodes": "${{ params.nodes }}", "srun": "${{ params.srun }}"}}),
    spec(executors={"c": {"extends": "cluster", "time": None, "gpus": 2}}),
    spec(executors={"c": {"type": "docker", "image": "x", "gpus": "${{ params.gpus }}"}}),
    spec(plugins=[{"uses": "env", "with": {"threads": "${{ params.threads }}"}}]),
    spec(plugins=[{"uses": "notify", "with": {"webhook": {"secret": {"env": "HOOK"}}}}]),
    spec(plugins=[{"uses": "my_pkg.plugins:Mine", "with": {"anything": 1}}]),
    spec(packager={"type": "git", "dirty": "${{ params.dirty }}"}),
    spec(packager={"type": "hybrid", "parts": {"code": ["git", {"type": "pattern", "include": ["a"]}]}}),
    task(launcher={"torchrun": None}),
    task(launcher={"torchrun": {"nnodes": "${{ params.nodes }}"}, "wrap": ["nsys", "profile"]}),
    task(launcher="none"),
    task(timeout="${{ params.hours }}h", retry={"limit": "${{ params.retries }}"}),
    task(resources="${{ params.resources }}", artifacts=["${{ params.run }}/../model.pt"]),
    task(when="${{ params.a }}", stop_signal="${{ params.signal }}", allow_failure="${{ params.b }}"),
    task(matrix={"lr": "${{ params.rates }}", "max_parallel": "${{ params.most }}"}),
    {"tasks": {"a": "${{ params.task }}"}},
    {"tasks": {"a": {"group": "${{ params.members }}", "executor": ["local", "${{ params.b }}"]}}},
    {"tasks": {"a": {"partial": "m:f", "args": {"a": [1, None, {"b": 2}]}}}},
    {"tasks": "${{ params.tasks }}", "defaults": "${{ params.defaults }}"},
    {
        "extends": "base.yaml",
        "defaults": {"timeout": None},
        "tasks": {"a": {"executor": "c", "env": {"A": None}}},
    },
    {"extends": "base.yaml", "tasks": None, "executors": {"c": {"type": "slurm", "time": None}}},
]


@pytest.mark.parametrize("data", WRONG, ids=json.dumps)
def test_mistakes_are_refused(data: Any) -> None:
    """A misspelt type, name or option of a built-in part is refused, and so is a value of a wrong type."""
    assert problems(data)


@pytest.mark.parametrize("data", RIGHT, ids=json.dumps)
def test_expressions_and_short_forms_are_allowed(data: Any) -> None:
    """An expression is valid in place of a value; a file that extends another may remove keys by null."""
    assert problems(data) == []


# -- the same verdicts as `exp validate` ----------------------------------------------------------------

# Of the first mistake that `exp validate` reports: it is about a key or about the type of a value.
OF_KEYS_AND_TYPES = ("unknown key ", "must be ", "must not be empty", "contains a value twice", "is a list")
# A value of each type that a mutation puts in place of another one.
OTHERS: Sequence[Any] = (
    "zzz",
    7,
    0.5,
    True,
    None,
    [],
    ["zzz"],
    {},
    {"zzz": 1},
    -1,
    "",
    "2h",
    0,
    "${{ params.x }}",
)


def whole_examples() -> list[Any]:
    """The examples that extend and include no other files."""
    examples = []
    for path in SPECS:
        data = parser.parse(open_source(path))
        if isinstance(data, dict) and "tasks" in data and not {"extends", "include"} & data.keys():
            examples.append(data)
    return examples


EXAMPLES = whole_examples()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a spec that can be changed; what is in `params` is of the user's choice."""
    if path[:1] == ("params",):
        return
    if path:
        yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield from places(item, (*path, key))


@given(st.data())
@settings(max_examples=amount(150, long=5000))
def test_mutated_examples_get_the_same_verdict(data: st.DataObject) -> None:
    """What `exp validate` refuses as a wrong key or type, the schema refuses; it accepts what is valid."""
    changed = copy.deepcopy(data.draw(st.sampled_from(EXAMPLES)))
    *above, key = data.draw(st.sampled_from(list(places(changed))))
    parent = changed
    for step in above:
        parent = parent[step]
    if isinstance(parent, dict) and data.draw(st.booleans()):
        parent[f"{key}z"] = parent.pop(key)
    else:
        parent[key] = data.draw(st.sampled_from(OTHERS))
    try:
        load.read(changed)
    except SpecError as error:
        messages = [problem.message for problem in error.problems]
        unknown = [message for message in messages if message.endswith("no param is called 'x'")]
        if unknown == messages:  # an expression in place of a value, without other mistakes
            assert problems(changed) == []
        elif unknown:
            pass  # what depends on the missing value is wrong too, which only `exp validate` knows
        elif any(message.startswith(OF_KEYS_AND_TYPES) for message in messages):
            assert problems(changed), messages
    else:
        assert problems(changed) == []


def test_an_unknown_type_is_reported_once() -> None:
    """An editor shows one message for the type of an executor that does not exist."""
    (error,) = EXPERIMENT.iter_errors(spec(executors={"c": {"type": "slurmm"}}))
    assert list(error.absolute_path) == ["executors", "c", "type"]


def test_what_is_repeated_is_defined_once() -> None:
    """The file is small enough to be next to each spec, and no long schema is in it twice."""
    texts: dict[str, int] = {}

    def count(schema: Any) -> None:
        for part in subschemas.inner(schema):
            if isinstance(part, dict):
                texts[json.dumps(part)] = texts.get(json.dumps(part), 0) + 1
            count(part)

    count(published.built_in())
    assert {text for text, times in texts.items() if times > 1 and len(text) >= 200} == set()
    assert len(json.dumps(published.built_in(), separators=(",", ":"))) < 200_000


def test_a_named_definition_has_what_editors_show() -> None:
    """The definitions of what is repeated keep their titles and descriptions."""
    definitions = published.built_in()["$defs"]
    assert definitions["expression"]["title"] == "a text with an expression, ${{ … }}"
    assert definitions["null"]["title"] == "null, which removes the key"
    repeated = [schema for name, schema in definitions.items() if name.startswith("repeated-")]
    assert any("description" in schema for schema in repeated)


def test_editors_show_what_a_value_must_be() -> None:
    """A text that does not match a pattern gets the words of `exp validate`, not the pattern."""
    definitions = published.built_in()["$defs"]
    assert definitions["duration"]["patternErrorMessage"].startswith("must be a duration: 90s, 10m")
    assert definitions["retry"]["patternErrorMessage"] == "must be a mapping such as {limit: 2}"
    assert definitions["run"]["patternErrorMessage"] == "must be a mapping"


def test_options_that_are_unknown_are_open() -> None:
    """A part whose options are unknown, or refer to other files, may have any; all others are checked."""
    parts = named_parts.Parts(
        executors={
            "nice": None,
            "own": {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/size"}},
                "$defs": {"size": {"type": "integer"}},
                "additionalProperties": False,
            },
        },
        launchers={"start": None},
        packagers={"zip": None},
        plugins={
            "watch": None,
            "far": {
                "properties": {"a": {"$ref": "https://example.org/a"}, "b": {"$ref": "#/definitions/b"}},
                "definitions": {"b": {"$ref": "#/definitions/c"}},
                "not": {"$ref": "#/definitions/b"},
                "if": {"$ref": "#"},
                "then": {"required": ["c"]},
            },
        },
    )
    form, problems_of_parts = published.whole(parts)
    assert problems_of_parts == ()
    Draft202012Validator.check_schema(form)
    own = Draft202012Validator(form)
    assert own.is_valid(spec(executors={"c": {"type": "nice", "x": 1}}, packager={"type": "zip", "x": 1}))
    assert own.is_valid(task(launcher="start", plugins=[{"uses": "watch", "with": {"x": 1}}]))
    assert own.is_valid(task(plugins=[{"uses": "far", "with": {"a": 1, "b": "x"}}]))
    assert own.is_valid(spec(executors={"c": {"type": "own", "a": "${{ params.a }}"}}))
    assert not own.is_valid(spec(executors={"c": {"type": "own", "a": "x"}}))
    assert not own.is_valid(spec(executors={"c": {"type": "own", "b": 1}}))
    assert not own.is_valid(spec(executors={"c": {"type": "slurm"}}))
