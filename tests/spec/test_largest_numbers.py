"""Numbers of a spec: one that the resolved spec could not have is a problem of the spec, with its place."""

from __future__ import annotations

import json
from copy import deepcopy
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.extent import amount

from nemorun_cli.errors import SpecError
from nemorun_cli.model import forms
from nemorun_cli.spec import load
from nemorun_cli.storage import stored_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nemorun_cli.model.problems import Problem
    from nemorun_cli.model.spec import Spec

WITHOUT_MAXIMUM: Final = {
    "scalar": "a text",
    "envValue": "a text",
    "declaration/properties/minimum": "compared with params, which can be as large",
    "declaration/properties/maximum": "compared with params, which can be as large",
    "slurmJob/properties/slurm_job": "a text",
    "stopRule/properties/above": "the section `stop` checks it",
    "stopRule/properties/below": "the section `stop` checks it",
    "stopRule/properties/min_delta": "the section `stop` checks it",
    "axis/then/properties/range/items": "a value of an axis",
    "axis/then/properties/logspace/items": "a value of an axis",
    "task/properties/until": "the name of a member",
    "searchRange/properties/low": "the space is checked for what samplers can draw",
    "searchRange/properties/high": "the space is checked for what samplers can draw",
    "searchRange/properties/step": "the space is checked for what samplers can draw",
}
"""Numbers of the schema without a maximum, and why they need none."""

SPEC: Final[dict[str, Any]] = {
    "run": {"max_parallel": 1, "max_failures": 1, "timeout": 1},
    "params": {"p": {"type": "number", "default": 1, "minimum": 0, "maximum": 2}},
    "tasks": {
        "one": {
            "command": ["true"],
            "env": {"N": 1},
            "args": [1],
            "retry": {"limit": 1, "delay": 1, "backoff": 1, "max_delay": 1, "on": [1]},
            "resources": {"cpus": 1, "gpus": 0, "memory": "1G"},
            "timeout": 1,
            "stop_grace": 1,
            "metrics": {"a": "(?P<loss>.*)"},
            "stop": [
                {"metric": "loss", "patience": 1, "min_delta": 1, "goal": "minimize"},
                {"metric": "loss", "above": 1},
                {"metric": "loss", "below": 1},
            ],
        },
        "sweep": {"command": ["true"], "matrix": {"n": [1], "max_parallel": 1, "max_failures": 1}},
        "search": {
            "command": ["true"],
            "search": {
                "params": {"x": {"type": "float", "low": 0, "high": 1, "step": 1}, "y": [1]},
                "metric": "loss",
                "goal": "minimize",
                "trials": 1,
                "timeout": 1,
                "seed": 1,
                "max_parallel": 1,
                "max_failures": 1,
                "pruner": {"type": "asha", "min_resource": 1, "reduction_factor": 2, "bootstrap_count": 0},
            },
        },
    },
}
LARGE: Final = (10**19, 1e300)


def numbers(part: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all numbers in some data."""
    if isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from numbers(value, (*place, key))
    elif isinstance(part, int | float):
        yield place


def unbounded(part: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
    """The parts of a schema that accept any large number."""
    if isinstance(part, dict):
        kinds = part.get("type", ())
        if {"integer", "number"} & {
            *([kinds] if isinstance(kinds, str) else kinds)
        } and "maximum" not in part:
            yield "/".join(place)
        for key, value in part.items():
            yield from unbounded(value, (*place, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from unbounded(value, (*place, str(index)))


def test_each_number_of_the_schema_has_a_maximum() -> None:
    """A new number of the schema gets one, or the reason why it needs none."""
    text = resources.files("nemorun_cli.spec.schema").joinpath("keys.json").read_text(encoding="utf-8")
    assert list(unbounded(json.loads(text)["$defs"])) == list(WITHOUT_MAXIMUM)


@pytest.mark.parametrize("place", [*numbers(SPEC)], ids=lambda place: ".".join(map(str, place)))
def test_a_number_fits_the_resolved_spec_or_is_a_problem(
    place: tuple[str | int, ...], tmp_path: Path
) -> None:
    """What `exp validate` accepts, `exp run` accepts, too, and a supervisor can read it."""
    *above, last = place
    for large in LARGE[: amount(1, long=2)]:
        spec: Any = deepcopy({"name": "x", **SPEC})
        if place[0] == "tasks":
            spec["tasks"] = {place[1]: spec["tasks"][place[1]]}
        else:
            spec["tasks"] = {"one": {"command": ["true"]}}
        part = spec
        for key in above:
            part = part[key]
        part[last] = large
        resolved, problems = outcome(spec)
        assert all(each.path.startswith(".".join(map(str, above))) for each in problems), problems
        if resolved is not None:
            document = json.loads(json.dumps(resolved.to_json()))
            assert stored_spec.problem(document, tmp_path) is None, large


def outcome(spec: dict[str, Any]) -> tuple[Spec | None, Sequence[Problem]]:
    """A spec as it is resolved, or its problems."""
    try:
        return load.validate(spec), []
    except SpecError as error:
        return None, error.problems


def test_the_largest_count_is_accepted() -> None:
    """The bound is that of the resolved spec, and the message names it."""
    run = {"max_parallel": forms.MOST}
    tasks = {"a": {"command": ["true"]}}
    assert load.validate({"name": "x", "run": run, "tasks": tasks}).run.max_parallel == forms.MOST
    run["max_parallel"] += 1
    with pytest.raises(
        SpecError, match=r"run.max_parallel: must be a whole number from 1 on, at most 1e\+18"
    ):
        load.validate({"name": "x", "run": run, "tasks": tasks})
