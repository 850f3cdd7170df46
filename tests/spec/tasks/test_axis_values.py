"""Axes that are computed, or from a CSV file: which values they have, and what is a problem."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import load
from nemorun_cli.spec.tasks.axis_values import logspace_of, range_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")


def resolved(folder: Path, matrix: dict[str, Any], **keys: Any) -> Spec:
    task = {"command": ["echo"], "matrix": matrix}
    (folder / "spec.yaml").write_text(json.dumps({"name": "x", "tasks": {"t": task}, **keys}))
    return load.resolve(load.read(folder / "spec.yaml"), IDENTITY)


def ids(folder: Path, matrix: dict[str, Any]) -> list[str]:
    return [task.id.removeprefix("t/") for task in resolved(folder, matrix).tasks]


def problems(folder: Path, matrix: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        resolved(folder, matrix)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("bounds", "values"),
    [
        ([0, 10, 2], [0, 2, 4, 6, 8]),
        ([1, 4], [1, 2, 3]),
        ([3, 0, -1], [3, 2, 1]),
        ([0, 1, 0.25], [0.0, 0.25, 0.5, 0.75]),
        ([0.1, 0.5, 0.1], [0.1, 0.2, 0.3, 0.4]),
        ([1e-3, 4e-3, 1e-3], [0.001, 0.002, 0.003]),
    ],
)
def test_a_range_leaves_out_its_end(bounds: list[float], values: list[float]) -> None:
    """The numbers are those of Python's range; whole bounds give whole numbers, and decimals are exact."""
    assert range_of(bounds) == values
    assert [type(value) for value in range_of(bounds)] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("bounds", "values"),
    [
        ([1e-5, 1e-1, 5], [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        ([1, 1000, 4], [1, 10, 100, 1000]),
        ([1, 4, 3], [1, 2, 4]),
        ([0.1, 0.001, 3], [0.1, 0.01, 0.001]),
    ],
)
def test_a_logspace_has_both_ends(bounds: list[float], values: list[float]) -> None:
    """Neighbours are the same factor apart, and round numbers are round."""
    assert logspace_of(bounds) == values
    assert [type(value) for value in logspace_of(bounds)] == [type(value) for value in values]


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.integers(2, 50))
def test_a_logspace_has_equal_factors(low: float, high: float, count: int) -> None:
    """Whatever the bounds, there are `count` values, from the first to the last, by equal factors."""
    values = logspace_of([low, high, count])
    assert (len(values), values[0], values[-1]) == (count, low, high)
    factor = (high / low) ** (1 / (count - 1))
    for value, following in pairwise(values):
        assert math.isclose(following / value, factor, rel_tol=1e-9)


def test_axes_take_expressions(tmp_path: Path) -> None:
    """Bounds are filled in first, and computed axes multiply with lists."""
    matrix = {"x": {"range": [0, "${{ params.n }}"]}, "y": ["a"], "lr": {"logspace": [0.01, 1, 3]}}
    spec = resolved(tmp_path, matrix, params={"n": 2})
    assert [task.id for task in spec.tasks][:3] == [f"t/x=0,y=a,lr={lr}" for lr in ("0.01", "0.1", "1.0")]
    assert len(spec.tasks) == 6


def test_columns_of_a_file_advance_together(tmp_path: Path) -> None:
    """Each is an axis of its own name, with values typed as in YAML; other axes multiply."""
    (tmp_path / "c.csv").write_text('\ufefflr, width,name\n1e-3,64,"a,b"\n\n0.1,128,true\n', encoding="utf-8")
    spec = resolved(tmp_path, {"c": {"file": "c.csv"}, "seed": [1, 2]})
    assert [task.matrix for task in spec.tasks][1:3] == [
        {"lr": 0.001, "width": 64, "name": "a,b", "seed": 2},
        {"lr": 0.1, "width": 128, "name": True, "seed": 1},
    ]
    assert spec.tasks[0].id.startswith("t/lr=1e-3,width=64,name=a_b~")
    (tmp_path / "d.csv").write_text("seed\n7\n8\n")
    assert ids(tmp_path, {"seed": {"file": "d.csv"}}) == ["seed=7", "seed=8"]
    assert len(ids(tmp_path, {"c": {"file": "c.csv"}, "d": {"file": "d.csv"}})) == 4


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ({"range": [0, 1, 0]}, "t.matrix.x.range: has a step of 0"),
        ({"range": [0, 1, -1]}, "t.matrix.x.range: has no values: from 0 to 1 in steps of -1"),
        ({"range": [0, 1e9]}, "t.matrix.x.range: has 1,000,000,000 values, which is more than 100,000"),
        ({"range": [0]}, "t.matrix.x.range: must "),
        ({"range": ["a", 2]}, "t.matrix.x.range.0: must be a number"),
        ({"logspace": [0, 1, 3]}, "t.matrix.x.logspace: has the bound 0, which has no logarithm"),
        ({"logspace": [1, 2, 1]}, "t.matrix.x.logspace: has 1 values"),
        ({"logspace": [1, 2, 2.5]}, "t.matrix.x.logspace: has 2.5 values"),
        ({"logspce": [1, 2, 2]}, "t.matrix.x.logspce: unknown key 'logspce' (did you mean logspace?"),
        ({"range": [0, 1], "file": "a.csv"}, "t.matrix.x: must be a mapping such as {range: [0, 10, 2]}"),
        ({}, "t.matrix.x: must not be empty"),
        ({"file": "no.csv"}, "t.matrix.x.file: no.csv does not exist"),
        ({"file": "${{ params.f }}.csv"}, "t.matrix.x.file: is read before expressions are filled in"),
    ],
)
def test_a_wrong_axis_is_a_problem_at_its_place(tmp_path: Path, axis: dict[str, Any], message: str) -> None:
    """It names the bound or the key that is wrong."""
    assert any(message in problem for problem in problems(tmp_path, {"x": axis}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.csv has no rows"),
        ("lr\n", "c.csv has no rows"),
        (
            "lr,0.1\n1,2\n",
            "c.csv:1:1: tasks.t.matrix.x.file: has a first line that does not name axes",
        ),
        ("lr,zip\n1,2\n", "has the column 'zip', which is no name of an axis"),
        ("lr,lr\n1,2\n", "c.csv:1:1: tasks.t.matrix.x.file: has the column 'lr' twice"),
        ("lr,y\n1,2\n", "has the column 'y', and the matrix has that axis already"),
        ("lr,w\n1,2\n3\n", "c.csv:3:1: tasks.t.matrix.x.file: has a line with 1 of 2 columns"),
        ("lr,w\n1,\n", "c.csv:2:1: tasks.t.matrix.x.file: has no value of 'w' in a line"),
        ("lr,w\n1,2\n3,4\n1,2\n", "c.csv:4:1: tasks.t.matrix.x.file: repeats the row of line 2"),
        ('lr\n"a\n', "is not CSV"),
    ],
)
def test_a_wrong_file_is_a_problem_in_its_line(tmp_path: Path, text: str, message: str) -> None:
    """The problem has the line of the CSV file, and the place of the axis in the spec."""
    (tmp_path / "c.csv").write_text(text)
    assert message in problems(tmp_path, {"x": {"file": "c.csv"}, "y": [1]})[0]


def test_the_content_of_another_file_is_not_shown(tmp_path: Path) -> None:
    """A spec of somebody else may name any file of the user."""
    (tmp_path / "c.csv").write_text("[default]\npassword = hunter2\n")
    with pytest.raises(SpecError) as caught:
        resolved(tmp_path, {"x": {"file": "c.csv"}})
    assert "hunter2" not in str(caught.value)
    assert "[default]" not in str(caught.value)


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """Its values are part of commands."""
    (tmp_path / "c.csv").write_text("lr\n1\n")
    (tmp_path / "c.csv").chmod(0o666)
    assert "c.csv" in problems(tmp_path, {"x": {"file": "c.csv"}})[0]


def test_an_experiment_keeps_the_rows_of_its_file(exp: Exp) -> None:
    """A rerun needs no file, also of an included spec; a resume with the spec reads it again."""
    task = {"inline": "true", "matrix": {"c": {"file": "c.csv"}}}
    exp.spec(json.dumps({"name": "rows", "tasks": {"t": task}}), "sub/included.yaml")
    exp.spec("extends: sub/included.yaml\n")
    rows = exp.folder / "sub" / "c.csv"
    rows.write_text("lr\n1e-3\n2\n")
    first = exp("run", "spec.yaml", "-q").stdout.strip()
    rows.rename(rows.with_name("away"))
    exp("rerun", first, "-q")
    assert [task["id"] for task in exp.status()["tasks"]] == ["t/lr=1e-3", "t/lr=2"]
    rows.write_text("lr\n2\n3\n")
    changes = exp("resume", first, "--spec", "spec.yaml", "--dry-run").stdout
    assert "t/lr=3" in changes
