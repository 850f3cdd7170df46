from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import grouping, targets
from nemorun_cli.experiment.records.compare import rows
from nemorun_cli.model.best import is_finite
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.experiment.records.grouping import GroupedComparison, Spread

ACCURACIES = {
    ("a", 0.1): [0.8, 0.9, 1.0],
    ("a", 0.2): [0.5, math.nan],
    ("b", 0.1): [0.7, None],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[ComparedRow]:
    """Runs with three params; one diverged, and one has no accuracy."""
    root = tmp_path_factory.mktemp("tracked")
    for (model, lr), values in ACCURACIES.items():
        for seed, value in enumerate(values):
            with Experiment(f"s/{model}-{lr}-{seed}", dash_root=root, print_logs=False).run as experiment:
                experiment.params.set(model=model, lr=lr, seed=seed)
                experiment.metrics("eval").log(other=1)
                if value is not None:
                    experiment.metrics("eval").log(acc=value)
    return list(rows(targets.Target(root=root, prefix="s")))


def labels(grouped: GroupedComparison) -> list[tuple[Any, ...]]:
    """The values of each group."""
    return [tuple(group.values.values()) for group in grouped.groups]


def spread(grouped: GroupedComparison, index: int) -> Spread:
    """The spread of the first metric in a group."""
    return grouped.groups[index].spread(grouped.of.columns[0])


@pytest.mark.parametrize("by", [["model", "lr"], ["model,lr"], ["model, lr"]])
def test_a_group_has_the_mean_and_deviation_of_its_runs(study: list[ComparedRow], by: list[str]) -> None:
    """The deviation is that of a sample; NaN and missing values are counted and not averaged."""
    grouped = grouping.compare(study, by=by, over=["seed"], keys=["acc"])
    assert labels(grouped) == [("a", 0.1), ("a", 0.2), ("b", 0.1)]
    first = spread(grouped, 0)
    assert (first.mean, first.n) == (pytest.approx(0.9), 3)
    assert first.std == pytest.approx(statistics.stdev([0.8, 0.9, 1.0]))
    assert spread(grouped, 1).to_json() == {"mean": 0.5, "std": None, "n": 1, "not_finite": 1, "missing": 0}
    assert spread(grouped, 2).to_json() == {"mean": 0.7, "std": None, "n": 1, "not_finite": 0, "missing": 1}


def test_params_that_may_not_differ_are_refused(study: list[ComparedRow]) -> None:
    """With `over`, any other param that differs within a group is an error that names it."""
    with pytest.raises(UsageError, match="other params differ within a group, too: lr"):
        grouping.compare(study, by=["model"], over=["seed"])
    assert len(grouping.compare(study, by=["model"], over=["seed,lr"]).groups) == 2


def test_without_over_what_was_averaged_is_told(study: list[ComparedRow]) -> None:
    """The params whose values were mixed are listed."""
    assert set(grouping.compare(study, by=["model"]).over) == {"seed", "lr"}
    assert grouping.compare(study, by=["model", "lr"]).over == ["seed"]


def test_groups_are_sorted_filtered_and_limited(study: list[ComparedRow]) -> None:
    """Conditions choose runs; the order is that of the means, or of a grouping param."""
    by = ["model", "lr"]
    assert labels(grouping.compare(study, by=by, sort="acc")) == [("a", 0.2), ("b", 0.1), ("a", 0.1)]
    assert labels(grouping.compare(study, by=by, sort="lr", descending=True, limit=1)) == [("a", 0.2)]
    assert labels(grouping.compare(study, by=["model"], where=["lr=0.2"])) == [("a",)]
    with pytest.raises(UsageError, match="groups have no such value"):
        grouping.compare(study, by=["model"], sort="lr")


def test_the_best_group_has_the_best_mean(study: list[ComparedRow]) -> None:
    """Runs that could not be the best do not count, and are listed."""
    grouped = grouping.compare(study, by=["model"], best="acc", goal="maximize")
    assert labels(grouped) == [("a",)]
    assert len(grouped.groups[0].members) == 4
    assert grouped.of.best is not None
    assert len(grouped.of.best.excluded) == 2


@pytest.mark.parametrize(
    ("by", "why"),
    [("acc", "'acc' is a metric"), ("modelx", "no param 'modelx'")],
)
def test_only_params_make_groups(study: list[ComparedRow], by: str, why: str) -> None:
    """A metric or an unknown name is wrong usage."""
    with pytest.raises(UsageError, match=why):
        grouping.compare(study, by=[by])


@pytest.mark.parametrize("values", [[1e308, -1e308, 1e308], [10**400, 1], [1, 2], [5], []])
def test_a_spread_is_computed_of_any_numbers(values: list[float]) -> None:
    """Numbers at the limits of a float, or of any size, end in no error and in no infinity."""
    spread = grouping.spread(values)
    assert spread.n == len(values)
    assert all(number is None or is_finite(number) for number in (spread.mean, spread.std))


def test_rows_of_different_tasks_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of one sweep are one group, other tasks are their own, unless tasks may differ."""
    monkeypatch.setenv("EXP_ID", "e_1")
    for task in ("train/seed=1", "train/seed=2", "eval"):
        monkeypatch.setenv("EXP_TASK", task)
        with Experiment(f"e/{task}", dash_root=tmp_path, print_logs=False).run as experiment:
            experiment.params.set(model="a")
            experiment.metrics("t").log(acc=1.0)
    found = list(rows(targets.Target(root=tmp_path, prefix="e")))

    def sizes(over: list[str]) -> dict[str | None, int]:
        grouped = grouping.compare(found, by=["model"], over=over)
        return {group.task: len(group.members) for group in grouped.groups}

    assert sizes([]) == {"train": 2, "eval": 1}
    assert sizes(["task"]) == sizes(["record.task"]) == {None: 3}


def test_without_rows_the_columns_are_the_requested_ones() -> None:
    """A comparison of nothing has the params and metrics that were asked for, and no groups."""
    grouped = grouping.compare([], by=["model,lr", "lr"], keys=["loss", "loss"])
    assert [key.title for key in grouped.by] == ["model", "lr"]
    assert [key.title for key in grouped.of.columns] == ["loss"]
    assert grouped.groups == grouped.ties == []
