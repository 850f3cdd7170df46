from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: swept
prefix: alice/swept
params: {epochs: 3, note: "a|b"}
tasks:
  train:
    inline: 'echo "loss=$1"'
    args: ["${{ matrix.lr }}"]
    matrix: {lr: [0.3, 0.1, 0.2]}
    metrics: {train: 'loss=(?P<loss>\\S+)'}
  report: {inline: "true", dependencies: [train]}
"""


@pytest.fixture(scope="module")
def swept(shared: Exp) -> Exp:
    """A sweep that is over."""
    shared("run", shared.spec(SPEC))
    return shared


def cells(text: str) -> list[list[str]]:
    """A table by lines and words."""
    return [line.split() for line in text.splitlines()]


def test_the_tasks_of_a_sweep_are_compared(swept: Exp) -> None:
    """Each task that recorded something is a row; params that are the same everywhere are left out."""
    assert cells(swept("compare", "swept", "--sort", "loss").stdout) == [
        ["RECORD", "STATUS", "lr", "train/loss"],
        ["train/lr=0.1", "COMPLETED", "0.1", "0.1"],
        ["train/lr=0.2", "COMPLETED", "0.2", "0.2"],
        ["train/lr=0.3", "COMPLETED", "0.3", "0.3"],
    ]
    best = cells(swept("compare", "--best", "loss:max", "--all-params").stdout)
    assert best[1][:5] == ["train/lr=0.3", "COMPLETED", "3", "a|b", "0.3"]
    assert len(cells(swept("compare", "--task", "train/lr=0.1").stdout)) == 2
    assert len(cells(swept("compare", "alice/swept", "--where", "loss<=0.2").stdout)) == 3


def test_experiments_are_compared(exp: Exp) -> None:
    """Rows of several experiments are told apart, and by the params of their experiments."""
    exp("run", exp.spec(SPEC))
    exp("run", exp.spec(SPEC), "-p", "epochs=5")
    ids = [one["id"] for one in exp("list", "--json").json["experiments"]]
    rows = cells(exp("compare", *ids, "--sort", "epochs", "--limit", "4", "--where", "lr=0.1").stdout)
    assert rows[0] == ["EXPERIMENT", "RECORD", "STATUS", "epochs", "train/loss"]
    assert [(row[0], row[3]) for row in rows[1:]] == [(ids[1], "3"), (ids[0], "5")]


def test_a_comparison_is_written_in_each_form(swept: Exp) -> None:
    """CSV and Markdown hold the table, JSON all params and all that the metrics come to."""
    rows = list(csv.reader(io.StringIO(swept("compare", "--format", "csv", "--sort", "lr").stdout)))
    assert rows[:2] == [["RECORD", "STATUS", "lr", "train/loss"], ["train/lr=0.1", "COMPLETED", "0.1", "0.1"]]
    markdown = swept("compare", "--format", "markdown", "--sort", "lr", "--all-params").stdout.splitlines()
    assert markdown[0] == "| RECORD | STATUS | epochs | note | lr | train/loss |"
    assert markdown[2] == r"| train/lr=0.1 | COMPLETED | 3 | a\|b | 0.1 | 0.1 |"
    document = swept("compare", "--json", "--best", "loss:min").json
    assert document["differing"] == ["lr"]
    (row,) = document["rows"]
    assert row["params"] == {"epochs": 3, "note": "a|b", "lr": 0.1}
    assert row["metrics"]["train/loss"]["min"] == 0.1
    swept("compare", "--format", "xml", code=2)


def test_a_run_whose_tasks_recorded_nothing_is_compared_by_its_params(exp: Exp) -> None:
    """An experiment without records of tasks is a row itself."""
    exp("run", exp.spec("name: a\nparams: {x: 1}\ntasks: {a: {command: [echo, hi]}}"))
    assert cells(exp("compare").stdout)[1][1:] == ["COMPLETED", "1"]


@pytest.mark.parametrize("condition", ["lr=<1", "lr=>1", "lr<>1", "lr=!1", "lr"])
def test_a_condition_that_is_mistyped_is_refused(swept: Exp, condition: str) -> None:
    """What is no comparison is refused with the operators there are, instead of fitting nothing."""
    told = swept("compare", "--where", condition, code=2).stderr
    assert f"--where {condition}: not a condition" in told
    assert "the operators are =, ==, !=, <, <=, > and >=" in told


def test_a_status_that_no_record_can_have_is_refused(swept: Exp) -> None:
    """The states of tasks are others than those of records."""
    refused = swept("compare", "--where", "status=SUCCEEDED", code=2).stderr
    assert "records have no such status" in refused
    assert "there are: RUNNING, COMPLETED, FAILED" in refused
    assert swept("compare", "--where", "status!=FAILED").stdout
