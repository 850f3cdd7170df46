from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.spec.expressions.syntax import UNKNOWN
from nemorun_cli.spec.param_values import values
from nemorun_cli.system import regex_timeout


def given(section: dict[str, Any], *options: str) -> dict[str, Any]:
    found, findings = values(section, options)
    assert findings == []
    return found


def problems(section: dict[str, Any], *options: str) -> list[str]:
    _, findings = values(section, options)
    return [f"{finding.option or ''}|{finding.message}" for finding in findings]


def test_defaults_hold_where_nothing_is_given() -> None:
    """A param is its default, plain or declared, until `-p` changes it."""
    assert given({"a": 1, "b": {"type": "number", "default": 0.5}}) == {"a": 1, "b": 0.5}
    assert given({"a": 1}, "a=2") == {"a": 2}


def test_last_of_several_values_counts() -> None:
    """A param that is given twice has its last value."""
    assert given({"a": 1}, "a=2", "a=3") == {"a": 3}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", "1e-3", 0.001),
        ("number", "3", 3),
        ("integer", "010", 10),
        ("integer", "1e3", 1000),
        ("boolean", "true", True),
        ("string", "3.10", "3.10"),
        ("string", "", ""),
        ("string", "a=b", "a=b"),
        ("string", "true", "true"),
        ("string", "[INST] hello", "[INST] hello"),
        ("string", "{user} asks", "{user} asks"),
        ("string", "[x", "[x"),
        ("string", '"q" tail', '"q" tail'),
        ("string", "a: b: c", "a: b: c"),
        ("array", "[1, x]", [1, "x"]),
        ("object", "{a: 1}", {"a": 1}),
    ],
)
def test_values_are_read_by_their_type(kind: str, text: str, value: object) -> None:
    """A value follows YAML's scalars, and for a param of type string it is the text as it stands."""
    found = given({"x": {"type": kind}}, f"x={text}")["x"]

    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize(
    ("entry", "text", "message"),
    [
        (10, "ten", 'must be a whole number, not "ten"'),
        (10, "1.5", "must be a whole number, not 1.5"),
        (True, "yes", "must be true or false"),
        ({"type": "array"}, "[a", "is not YAML"),
        ({"type": "number", "minimum": 0}, "-1", "must be at least 0, not -1"),
        ({"type": "number", "maximum": 1}, ".nan", "must be at most 1, not .nan"),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'must be one of "a", "b", not "c"'),
        ({"type": "string", "choices": ["a"]}, "c", 'must be one of "a"'),
        ({"type": "string", "pattern": "^v"}, "x", "must match ^v"),
        ({"type": "array", "default": []}, "3", "must be a list"),
    ],
)
def test_values_outside_their_type_or_bounds_are_refused(entry: Any, text: str, message: str) -> None:
    """A value that the declaration does not allow is a problem of the option that gave it."""
    (problem,) = problems({"x": entry}, f"x={text}")

    assert problem.startswith(f"-p x={text}|")
    assert message in problem


def test_unknown_param_is_refused_with_the_known_ones() -> None:
    """`-p` of a param that is not there names those that are."""
    _, (finding,) = values({"lr": 1}, ["rl=2"])

    assert finding.message == "no param is called 'rl'"
    assert finding.hint is not None
    assert "lr" in finding.hint


def test_option_without_value_is_refused() -> None:
    """`-p name` says how to write it."""
    assert problems({"lr": 1}, "lr") == ["-p lr|has no ="]


def test_param_without_default_needs_a_value() -> None:
    """A param without a default must be given, unless it is not required; then it is null."""
    assert problems({"x": {"type": "string"}}) == ["|has no value"]
    assert given({"x": {"type": "string", "required": False}}) == {"x": None}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "number", "default": "x"}, "must be a number"),
        ({"default": 3, "minimum": 5}, "must be at least 5"),
        ({"type": "string", "pattern": "("}, "is not a regular expression"),
    ],
)
def test_declaration_that_contradicts_itself_is_refused(entry: Any, message: str) -> None:
    """A default outside its own bounds and a pattern that is none are problems of the file."""
    (problem,) = problems({"x": entry})

    assert problem.startswith("|")
    assert message in problem


def test_value_in_doubt_is_unknown() -> None:
    """A param that is wrong is unknown to expressions, so that nothing more is said about it."""
    found, _ = values({"a": 1, "b": 2}, ["a=x"], frozenset({"b"}))

    assert found == {"a": UNKNOWN, "b": UNKNOWN}


def test_mapping_without_declaring_keys_is_a_plain_default() -> None:
    """A mapping is a declaration only if it has type, default or required."""
    assert given({"range": {"minimum": 1, "maximum": 2}}) == {"range": {"minimum": 1, "maximum": 2}}


def test_a_pattern_that_takes_too_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that does not end in its time is a problem of the value, and the next param has its own."""
    monkeypatch.setattr(regex_timeout, "PATIENCE", 0.05)
    found = problems(
        {
            "a": {"type": "string", "default": "a" * 60 + "!", "pattern": "(a|aa)+$"},
            "b": {"type": "string", "default": "x", "pattern": "^v"},
            "c": {"type": "string", "default": "v", "pattern": "(a{99999}){9}"},
        }
    )
    assert "takes too long" in found[0]
    assert found[1:] == [
        '|must match ^v, not "x"',
        "|is larger than 50,000 characters with its repetitions",
    ]
