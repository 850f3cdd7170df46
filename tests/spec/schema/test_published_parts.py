"""The published schema with options that packages declare: what it refers to, and what it cannot express."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nemorun_cli.spec.schema import named_parts, published, subschemas

SIZE = {"type": "object", "properties": {"size": {"type": "integer"}}, "additionalProperties": False}
TEXT = "${{ params.x }}"


def made(
    *,
    executor: Any = None,
    launcher: Any = None,
    packager: Any = None,
    plugin: Any = None,
    name: str = "own",
) -> tuple[Draft202012Validator, tuple[str, ...]]:
    """The schema of an installation with one part of each kind, and the problems with them."""
    schema, problems = published.whole(
        named_parts.Parts(
            executors={name: executor, "local": {"type": "object", "additionalProperties": False}},
            launchers={name: launcher},
            packagers={name: packager},
            plugins={name: plugin},
        )
    )
    of_parts = {key: item for key, item in schema["$defs"].items() if key.startswith(tuple(SPECS))}
    Draft202012Validator.check_schema({"$defs": of_parts})  # checking all would take a second
    for target in subschemas.references(schema):
        subschemas.resolved(schema["$defs"], target)
    return Draft202012Validator(schema), problems


def with_executor(name: str = "own", **options: Any) -> dict[str, Any]:
    return {"executors": {"c": {"type": name, **options}}, "tasks": {"a": {"command": "echo"}}}


def with_launcher(name: str = "own", **options: Any) -> dict[str, Any]:
    return {"tasks": {"a": {"command": "echo", "launcher": {name: options}}}}


def with_packager(name: str = "own", **options: Any) -> dict[str, Any]:
    return {"packager": {"type": name, **options}, "tasks": {"a": {"command": "echo"}}}


def with_plugin(name: str = "own", **options: Any) -> dict[str, Any]:
    return {"plugins": [{"uses": name, "with": options}], "tasks": {"a": {"command": "echo"}}}


SPECS = {
    "executor": with_executor,
    "launcher": with_launcher,
    "packager": with_packager,
    "plugin": with_plugin,
}
KINDS = sorted(SPECS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_at_the_top_is_followed(kind: str) -> None:
    """Options that are a reference to a definition of their schema are those of the definition."""
    schema, problems = made(**{kind: {"$ref": "#/$defs/a~1b", "$defs": {"a/b": SIZE}}})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](size=1))
    assert schema.is_valid(SPECS[kind](size=TEXT))
    assert not schema.is_valid(SPECS[kind](size="x"))
    assert not schema.is_valid(SPECS[kind](sizes=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["https://example.org/options.json", "#/$defs/duration", "#size"])
def test_a_reference_to_what_the_schema_does_not_have_allows_everything(kind: str, target: str) -> None:
    """A reference to another file, or to a definition that only the schema of specs has, leads to nothing."""
    schema, problems = made(**{kind: {"$ref": target, "$defs": {"other": SIZE}}})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](size="x"))


LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}]}}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", **LOOP},
        {"anyOf": [{"$ref": "#"}, {"type": "object"}]},
        {"properties": {"x": {"$ref": "#/$defs/a"}}, **LOOP},
        {"properties": {"x": {"not": {"required": 3}}}, "allOf": 3},
    ],
    ids=json.dumps,
)
def test_one_schema_that_cannot_be_used_opens_its_part_alone(kind: str, options: Any) -> None:
    """A schema that refers to itself is a problem of its part; others are checked."""
    schema, problems = made(**{kind: options})
    (problem,) = problems
    assert "'own' may have any options in this schema: " in problem
    assert schema.is_valid(SPECS[kind](x="y"))
    assert not schema.is_valid(with_executor("local", x=1))


def test_a_definition_may_contain_itself() -> None:
    """A tree of values is no loop: each reference is about a smaller value."""
    tree = {"type": "object", "properties": {"below": {"$ref": "#"}}, "additionalProperties": False}
    schema, problems = made(plugin=tree)
    assert problems == ()
    assert schema.is_valid(with_plugin(below={"below": TEXT}))
    assert not schema.is_valid(with_plugin(below={"beloww": {}}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a/b", "a~b", "a%2Fb", "a b", "é", "xOverride", "of-any-type"])
def test_each_name_of_a_part_and_of_its_keys_can_be_referred_to(kind: str, name: str) -> None:
    """Names of parts, definitions and keys may have characters that mean something in a reference."""
    key = {"type": "object", "properties": {name: {"type": "integer"}}, "additionalProperties": False}
    options = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/key"}},
        "additionalProperties": False,
        "$defs": {"key": key},
    }
    schema, problems = made(name=name, **{kind: options})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](name, **{name: {name: 1}}))
    assert not schema.is_valid(SPECS[kind](name, **{name: {name: "x"}}))
    assert (
        not schema.is_valid({**with_executor(**{f"{name}y": 1}), "extends": "base.yaml"})
        or kind != "executor"
    )


@pytest.mark.parametrize("keyword", ["default", "const", "enum", "examples", "$ref", "$defs"])
def test_an_option_may_be_named_like_a_keyword(keyword: str) -> None:
    """What is below `properties` are names, also if they are those of keywords with values."""
    options = {
        "type": "object",
        "properties": {keyword: {"$ref": "#/$defs/size"}},
        "additionalProperties": False,
        "$defs": {"size": {"type": "integer", "title": "a size"}},
    }
    schema, problems = made(executor=options, plugin=options)
    assert problems == ()
    for made_spec in (with_executor, with_plugin):
        assert schema.is_valid(made_spec(**{keyword: TEXT}))
        assert not schema.is_valid(made_spec(**{keyword: "x"}))
    messages = [error.schema.get("patternErrorMessage") for error in schema.iter_errors(with_plugin())]
    assert messages == []


VALID = [
    # oneOf: an expression is valid by both
    (
        {"oneOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"type": "boolean"}}}]},
        {"a": TEXT},
    ),
    ({"if": {"properties": {"mode": {"const": "x"}}}, "else": {"required": ["b"]}}, {"mode": TEXT}),
    (
        {"if": {"properties": {"n": {"type": "string"}}, "required": ["n"]}, "then": {"required": ["b"]}},
        {"n": TEXT},
    ),
    ({"not": {"properties": {"n": {"type": "string"}}, "required": ["n"]}}, {"n": TEXT}),
    ({"properties": {"l": {"type": "array", "contains": {"const": "a"}}}}, {"l": [TEXT]}),
    ({"properties": {"l": {"type": "array", "contains": {"const": "a"}, "maxContains": 1}}}, {"l": [TEXT]}),
    ({"properties": {"s": {"type": "string", "minLength": 40}}}, {"s": TEXT}),
    ({"properties": {"s": {"minLength": 40}}}, {"s": TEXT}),
    ({"properties": {"s": {"anyOf": [{"type": "string", "minLength": 40}, True]}}}, {"s": TEXT}),
    ({"properties": {"s": {"anyOf": [{"type": "string", "minLength": 40}]}}}, {"s": TEXT}),
    (
        {
            "if": {"properties": {"m": {"const": "x"}}},
            "then": {"properties": {"n": {}}},
            "properties": {"m": {}},
            "unevaluatedProperties": False,
        },
        {"m": TEXT, "n": 1},
    ),
    ({"dependentSchemas": {"a": {"properties": {"b": {"type": "integer"}}}}}, {"a": 1, "b": TEXT}),
]


@pytest.mark.parametrize(("options", "given"), VALID, ids=json.dumps)
@pytest.mark.parametrize("kind", ["launcher", "plugin"])
def test_an_expression_is_valid_whatever_a_schema_says_of_values(kind: str, options: Any, given: Any) -> None:
    """Conditions on values do not refuse a text whose value is not known yet."""
    schema, problems = made(**{kind: {"type": "object", **options}})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](**given))


def test_conditions_on_keys_are_kept() -> None:
    """Which keys there are is known before expressions are filled in."""
    options = {
        "type": "object",
        "properties": {"a": {}, "b": {}},
        "not": {"required": ["a", "b"]},
        "if": {"required": ["a"]},
        "then": {"properties": {"a": {"type": "integer"}}},
    }
    schema, _ = made(plugin=options)
    assert schema.is_valid(with_plugin(a=TEXT))
    assert not schema.is_valid(with_plugin(a="x"))
    assert not schema.is_valid(with_plugin(a=1, b=1))


def test_a_list_with_a_text_twice_is_refused() -> None:
    """The same expression twice gives the same value twice."""
    items = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    schema, _ = made(plugin={"type": "object", "properties": {"l": items}})
    assert schema.is_valid(with_plugin(l=[TEXT, 1]))
    assert not schema.is_valid(with_plugin(l=[TEXT, TEXT]))


@pytest.mark.parametrize("kind", ["executor", "packager"])
@pytest.mark.parametrize(
    "more",
    [
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$id": "https://example.org/options"},
        {"$comment": "of a package"},
        {"minProperties": 1},
        {"dependentRequired": {"size": ["type"]}},
        {"propertyNames": {"pattern": "^s"}},
        {"definitions": {}},
    ],
    ids=json.dumps,
)
def test_options_are_closed_whatever_else_their_schema_has(kind: str, more: Any) -> None:
    """Annotations, and conditions on all keys together, do not make the options of a type unknown."""
    schema, problems = made(**{kind: {**SIZE, **more}})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](size=TEXT))
    assert not schema.is_valid(SPECS[kind](sizes=1))


@pytest.mark.parametrize("kind", ["executor", "packager"])
def test_options_by_the_pattern_of_their_names_are_checked(kind: str) -> None:
    """A pattern is that of options; the keys that each type has are not checked by it."""
    options = {
        "type": "object",
        "patternProperties": {"^[a-z]+$": {"type": "integer"}},
        "additionalProperties": False,
    }
    schema, problems = made(**{kind: options})
    assert problems == ()
    assert schema.is_valid(SPECS[kind](size=TEXT))
    assert not schema.is_valid(SPECS[kind](size="x"))
    assert not schema.is_valid(SPECS[kind](SIZE=1))
    if kind == "executor":
        assert schema.is_valid({**with_executor(size=None, env={"A": 1}), "extends": "base.yaml"})


@pytest.mark.parametrize("kind", ["executor", "packager"])
def test_options_that_cannot_be_closed_are_a_problem(kind: str) -> None:
    """A schema that combines others is open, which a warning says."""
    schema, problems = made(**{kind: {"allOf": [SIZE]}})
    (problem,) = problems
    assert problem.endswith("any options in this schema: ValueError: it has allOf at its top")
    assert schema.is_valid(SPECS[kind](sizes=1))
