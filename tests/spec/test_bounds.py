"""A spec of any size is read in bounded time: what is beyond a bound is a problem with its place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.spec import load
from nemorun_cli.spec.tasks import expand

if TYPE_CHECKING:
    from nemorun_cli.model.problems import Problem


def problems(spec: dict[str, Any]) -> list[Problem]:
    """The problems of a spec."""
    with pytest.raises(SpecError) as caught:
        load.validate({"name": "x", **spec})
    return list(caught.value.problems)


def test_late_expressions_of_a_task_are_bounded() -> None:
    """The supervisor compiles at most a thousand expressions for a task; names do not count."""
    first = {"first": {"command": "true"}}

    def spec(part: str) -> dict[str, Any]:
        texts = [f"${{{{ tasks.first.outputs.x{part} }}}}"] * 1_001
        return {"tasks": {**first, "b": {"command": ["echo", *texts], "dependencies": ["first"]}}}

    load.validate({"name": "x", **spec("")})
    (problem,) = problems(spec(" + 1"))
    assert problem.path == "tasks.b.command.1"
    assert "more than 1,000 expressions" in problem.message


def test_members_of_all_sweeps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several matrices together cannot have more members than a spec may have."""
    monkeypatch.setattr(expand, "MOST_MEMBERS", 5)
    tasks = {name: {"command": "true", "matrix": {"n": [1, 2, 3]}} for name in "abc"}
    (problem,) = problems({"tasks": tasks})
    assert problem.path == "tasks.b.matrix"
    assert "more than 5 members in all" in problem.message


def test_chains_of_executors_are_bounded() -> None:
    """An executor cannot extend another one over more than fifty steps."""
    executors: dict[str, Any] = {f"e{number}": {"extends": f"e{number + 1}"} for number in range(52)}
    executors["e52"] = {"type": "local"}
    found = problems({"executors": executors, "tasks": {"a": {"command": "true", "executor": "e9"}}})
    assert [problem.path for problem in found] == ["executors.e0.extends", "executors.e1.extends"]
    assert "chain of more than 50 executors" in found[0].message


def test_many_problems_take_little_time() -> None:
    """Of thousands of unknown keys the first thousand are reported, and unknown names do not cost more."""
    before = time.process_time()
    assert len(problems({"tasks": {"a": {"command": "true"}}, **{f"k{n}": n for n in range(3_000)}})) == 1_000
    names = {f"t{n}": {"command": "true", "dependencies": [f"u{n}"]} for n in range(600)}
    assert len(problems({"tasks": names})) == 600
    assert time.process_time() - before < 10
