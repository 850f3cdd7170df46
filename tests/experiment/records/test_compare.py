from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.records.compare import Comparison, compare, rows
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.records.compared_row import ComparedRow

RUNS = {
    "a": ({"lr": 0.1, "opt": "adam", "seed": 1}, [3.0, 1.0, 2.0]),
    "b": ({"lr": 0.2, "opt": "sgd", "seed": 1}, [5.0]),
    "c": ({"lr": 0.3, "opt": "adam", "seed": 1, "extra": True}, [math.nan]),
    "d": ({"lr": 0.4, "opt": "adam", "seed": 1}, []),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[ComparedRow]:
    """The rows of four programs that tracked."""
    root = tmp_path_factory.mktemp("tracked")
    for name, (params, losses) in RUNS.items():
        with Experiment(f"x/{name}", dash_root=root, print_logs=False).run as experiment:
            experiment.params.set(params)
            for epoch, loss in enumerate(losses):
                experiment.metrics("train").log(loss=loss, epoch=epoch)
            if name != "d":
                experiment.metrics("eval").log(loss=1.0, accuracy=0.5)
    return list(rows(targets.Target(root=root, prefix="x")))


def names(compared: Comparison) -> str:
    """The rows in their order."""
    return "".join(row.of.record.prefix[-1] for row in compared.rows)


def test_rows_are_sorted_by_metrics_and_params(found: list[ComparedRow]) -> None:
    """Numbers are sorted by size, either way; rows without one come last."""
    assert names(compare(found, sort="train/loss")) == "abcd"
    assert names(compare(found, sort="train/loss", descending=True)) == "bacd"
    assert names(compare(found, sort="train/loss:min")) == "abcd"
    assert names(compare(found, sort="lr", descending=True)) == "dcba"
    assert names(compare(found, sort="opt")) == "acdb"
    assert names(compare(found, sort="lr", limit=2)) == "ab"


def test_only_params_that_differ_are_told(found: list[ComparedRow]) -> None:
    """What is the same in all rows differs in none; what only some rows have does."""
    compared = compare(found)
    assert compared.differing == ["lr", "opt", "extra"]
    assert compared.params == ["lr", "opt", "seed", "extra"]
    assert compare(found, where=["lr<0.25", "lr>0.15"]).differing == ["lr", "opt", "seed"]
    assert compare(found, best="accuracy:max").differing == ["lr", "opt", "extra"]


def test_the_best_is_found_by_a_metric_and_a_direction(found: list[ComparedRow]) -> None:
    """The least or the largest of what a metric ever was; it has to be said which is better."""
    assert names(compare(found, best="train/loss:min")) == "a"
    assert names(compare(found, best="train/loss:max")) == "b"
    with pytest.raises(UsageError, match="the direction is missing"):
        compare(found, best="train/loss")


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (["lr<=0.2"], "ab"),
        (["lr = 1e-1"], "a"),
        (["lr!=0.1"], "bcd"),
        (["opt=adam"], "acd"),
        (["opt=a*"], "acd"),
        (["opt!=adam"], "b"),
        (["extra=true"], "c"),
        (["extra=1"], ""),
        (["train/loss>=2"], "ab"),
        (["train/loss:min<2"], "a"),
        (["status=COMPLETED", "prefix=x/b"], "b"),
        (["train/loss>=2", "opt=adam"], "a"),
    ],
)
def test_conditions_choose_rows(found: list[ComparedRow], where: list[str], left: str) -> None:
    """Conditions compare numbers by size and texts by globs; all of them have to hold."""
    assert names(compare(found, where=where)) == left


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"sort": "loose"}, "no metric or param 'loose'"),
        ({"sort": "loss"}, "several metrics: eval/loss, train/loss"),
        ({"keys": ["lr"]}, "is a param, not a metric"),
        ({"where": ["lr"]}, "not a condition"),
        ({"where": ["lr<much"]}, "'much' is not a number"),
        ({"where": ["nothing=1"]}, "no metric or param"),
    ],
)
def test_what_is_not_known_is_told_with_what_is(
    found: list[ComparedRow], options: dict[str, str], why: str
) -> None:
    """A key that is none, or means several, and a condition that is none, are wrong usage."""
    with pytest.raises(UsageError, match=why):
        compare(found, **options)  # type: ignore[arg-type] # one option at a time


def test_only_the_metrics_that_were_asked_for_are_shown(found: list[ComparedRow]) -> None:
    """A metric is named by its field where that is enough, with what of it is wanted."""
    compared = compare(found, keys=["accuracy", "train/loss:mean"])
    assert [key.title for key in compared.columns] == ["eval/accuracy", "train/loss:mean"]
    (_, mean) = compared.columns
    assert mean.get(compared.rows[0]) == 2.0
    assert mean.get(compared.rows[3]) is None


def test_nothing_can_be_compared(tmp_path: Path) -> None:
    """Where no record has anything, nothing is left, whatever it was to be sorted by."""
    del tmp_path
    assert compare([], sort="loss", best="loss:min").rows == []
