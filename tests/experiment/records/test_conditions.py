from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.records.compare import compare, rows
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.records.compared_row import ComparedRow

AWKWARD = {"a=b": 1.0, "a<b": 2.0, "a b": 3.0, "top:max": 4.0, "new\nline": 5.0, "x/y": 6.0, "q*[z]": 7.0}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> list[ComparedRow]:
    """Two programs, whose params and metrics have awkward names."""
    root = tmp_path_factory.mktemp("tracked")
    for name, factor in (("one", 1), ("two", -1)):
        with Experiment(f"x/{name}", dash_root=root, print_logs=False).run as experiment:
            params = {"task": name, "a": "b=3", "layers": [1, factor], "pad": "<pad>", "glob": f"{name}[1]"}
            experiment.params.set({**params, "status": name, "lr": 0.1 * factor})
            experiment.metrics("m").log({key: value * factor for key, value in AWKWARD.items()})
            experiment.metrics("m").log(
                {"top": 9.0, **{key: value * factor for key, value in AWKWARD.items()}}
            )
    return list(rows(targets.Target(root=root, prefix="x")))


def left(all_rows: list[ComparedRow], *where: str) -> list[str]:
    """The names of the rows that meet the conditions."""
    return [row.of.record.prefix[2:] for row in compare(all_rows, where=where).rows]


@pytest.mark.parametrize("key", [*AWKWARD, *(f"m/{key}" for key in AWKWARD)])
def test_every_key_is_reached(tracked: list[ComparedRow], key: str) -> None:
    """Whatever characters a metric's name has, it can be shown, filtered, sorted and judged by."""
    name = key.removeprefix("m/")
    compared = compare(tracked, keys=[key])
    assert [(column.title, column.get(compared.rows[0])) for column in compared.columns] == [
        (f"m/{name}", AWKWARD[name])
    ]
    assert left(tracked, f"{key}>0") == ["one"]
    assert left(tracked, f"{key} = {-AWKWARD[name]}") == ["two"]
    assert compare(tracked, sort=key).rows[0].of.record.prefix == "x/two"
    (best,) = compare(tracked, best=key, goal="maximize").rows
    assert best.of.record.prefix == "x/one"
    (best,) = compare(tracked, best=f"{key}:min").rows
    assert best.of.record.prefix == "x/two"


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("task=one", ["one"]),
        ("params.task=one", ["one"]),
        ("record.task=one", []),
        ("status=two", ["two"]),
        ("record.status=completed", ["one", "two"]),
        ("record.status=SUCCEEDED", ["one", "two"]),
        ("record.status!=SUCCEEDED", []),
        ("prefix=x/o*", ["one"]),
        ("layers=[1, -1]", ["two"]),
        ("layers!=[1,-1]", ["one"]),
        ("pad='<pad>'", ["one", "two"]),
        ("glob=one[1]", ["one"]),
        ("a=b=3", []),  # the metric a=b
        ("params.a=b=3", ["one", "two"]),
    ],
)
def test_a_condition_reaches_params_and_the_record(
    tracked: list[ComparedRow], where: str, names: list[str]
) -> None:
    """A plain name is a param where there is one; `params.` and `record.` say which is meant."""
    assert left(tracked, where) == names


def test_a_name_with_two_meanings_is_noted(tracked: list[ComparedRow]) -> None:
    """What a condition means is said where the record has a field of the same name."""
    (note,) = compare(tracked, where=["task=one"]).notes
    assert "the param task" in note
    assert "record.task" in note
    assert not compare(tracked, where=["prefix=x/one", "params.task=one"]).notes


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["lr=7"], "no row has lr=7; lr is 0.1, -0.1"),
        (["lr>7", "task=one"], "no row has lr>7; lr is 0.1, -0.1"),
        (["lr>0", "task=two"], "no row has all of: lr>0, task=two"),
        (["record.task=x"], "no row has record.task=x; no row has a value of task"),
        (["layers=[2]"], "no row has layers=[2]; layers is [1,1], [1,-1]"),
        (["record.status=FAILED"], "no row has record.status=FAILED; status is COMPLETED"),
    ],
)
def test_what_no_row_meets_is_told_with_the_values(
    tracked: list[ComparedRow], where: list[str], message: str
) -> None:
    """The condition that no row meets is named, with the values that rows have."""
    assert compare(tracked, where=where).unmet == message


def test_a_mistyped_status_is_refused(tracked: list[ComparedRow]) -> None:
    """A word that no record can have as its status fails, with the words there are."""
    with pytest.raises(UsageError, match="no such status"):
        left(tracked, "record.status=SUCCESSFUL")


def test_conditions_are_checked_without_rows(tmp_path: Path) -> None:
    """What is no condition is refused although no row could meet it."""
    del tmp_path
    with pytest.raises(UsageError, match="not a condition"):
        compare([], where=["lr"])


def test_values_that_are_not_finite_are_compared(tmp_path: Path) -> None:
    """Infinities, NaN and null are written as YAML, JSON or Python write them; nothing is less than NaN."""
    for name, value in (("a", math.inf), ("b", -math.inf), ("c", math.nan), ("d", 1.0)):
        with Experiment(f"x/{name}", dash_root=tmp_path, print_logs=False).run as program:
            program.params.set(lr=None if name == "a" else "None" if name == "b" else 0.1)
            program.metrics("m").log(loss=value)
    found = list(rows(targets.Target(root=tmp_path, prefix="x")))
    for infinity in ("inf", "Infinity", ".inf", "+inf"):
        assert left(found, f"loss={infinity}") == ["a"]
        assert left(found, f"loss=-{infinity.removeprefix('+')}") == ["b"]
    assert left(found, "loss<inf") == ["b", "d"]
    assert left(found, "loss=nan") == left(found, "loss=.NaN") == ["c"]
    assert (left(found, "lr=null"), left(found, "lr=None")) == (["a"], ["a", "b"])
    with pytest.raises(UsageError, match="smaller or larger than NaN"):
        left(found, "loss<nan")


def test_records_have_four_states(tracked: list[ComparedRow]) -> None:
    """INTERRUPTED is a state of experiments alone: no record can meet a condition with it."""
    for word in ("INTERRUPTED", "done"):
        with pytest.raises(UsageError, match="no such status") as refused:
            left(tracked, f"record.status={word}")
        assert (refused.value.hint or "").endswith("there are: RUNNING, COMPLETED, FAILED, CANCELLED")
