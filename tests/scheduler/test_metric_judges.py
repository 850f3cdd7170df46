"""Conditions of `stop` on values: which one stops an attempt, with what, and what never does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.model.best import Goal
from nemorun_cli.model.stop_rules import StopRule, WantedMetric
from nemorun_cli.scheduler.metric_judges import MetricValue, PruneJudge, StopJudge, TrialJudge

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN, INF = math.nan, math.inf
LOSS = ("train", "loss")


def values(number: float, **fields: Any) -> list[MetricValue]:
    """A value of `loss` as each kind of condition asks for it."""
    return [
        MetricValue(WantedMetric("loss", takes_all=takes), LOSS, number, **fields) for takes in (True, False)
    ]


def seen(rules: StopRule | Sequence[StopRule], *numbers: float, **fields: Any) -> tuple[int, str, str] | None:
    """How many values of `loss` a judge sees until it decides, the reason and the message."""
    judge = StopJudge([rules] if isinstance(rules, StopRule) else rules)
    for count, number in enumerate(numbers, 1):
        if decision := judge.see(values(number, **fields)):
            return count, str(decision.reason), decision.message
    return None


def patience(count: int, goal: str = "minimize", min_delta: float = 0.0) -> StopRule:
    """A condition on `loss` with patience."""
    return StopRule(metric="loss", patience=count, goal=Goal(goal), min_delta=min_delta)


def test_a_limit_is_exceeded_by_finite_values_only() -> None:
    """A value that equals the limit, is infinite or is NaN does not meet `above` or `below`."""
    above, below = StopRule(metric="loss", above=2), StopRule(metric="loss", below=2)
    assert seen(above, 1, 2, NAN, INF, -INF, 2.5) == (6, "target", "train/loss is 2.5, above 2")
    assert seen(below, 3, 2, NAN, -INF, INF, 1, epoch=4) == (
        6,
        "target",
        "train/loss is 1 at epoch 4, below 2",
    )


@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_a_value_that_is_not_finite_is_a_divergence(number: float) -> None:
    """NaN and both infinities are; no number is."""
    found = seen(StopRule(metric="loss"), 0.0, -1e308, number, step=7)
    assert found == (3, "diverged", f"train/loss is {number:g} at step 7")


@pytest.mark.parametrize(
    ("rule", "numbers", "count"),
    [
        (patience(2), [5, 4, 4, 4], 4),
        (patience(2), [5, 6, 4, 5, 3, 4, 4], 7),
        (patience(1), [5, 4, 3, 3], 4),
        (patience(2, min_delta=0.5), [5, 4.6, 4.4, 4.1, 4.0], 5),
        (patience(2, min_delta=0.5), [5, 4.5, 4.5], 3),
        (patience(2, "maximize"), [1, 2, 2, 1], 4),
        (patience(2, "maximize", min_delta=1), [1, 2, 2.1, 3, 3.1], 5),
        (patience(3), [NAN, INF, 2, NAN, -INF, 3], 6),
        (patience(3), [NAN, NAN, NAN], 3),
        (patience(2, "maximize"), [1, INF, NAN], 3),
    ],
)
def test_patience_counts_values_without_an_improvement(
    rule: StopRule, numbers: list[float], count: int
) -> None:
    """An improvement is finite and better than the best before it by more than `min_delta`."""
    found = seen(rule, *numbers)
    assert found is not None
    assert found[:2] == (count, "target")


def test_a_divergence_goes_first() -> None:
    """Of several conditions that one value meets, in whatever order, no failure counts as a success."""
    rules = [patience(1), StopRule(metric="loss")]
    assert (seen(rules, 1, NAN) or ())[1] == "diverged"
    assert (seen(rules, 1, 2) or ())[1:] == (
        "target",
        "train/loss had 1 value without an improvement: the best is 1",
    )


def test_other_ranks_only_diverge() -> None:
    """A metric that each rank logs counts once, and a NaN of any rank stops the attempt."""
    rules = [patience(2), StopRule(metric="loss", below=0), StopRule(metric="loss")]
    assert seen(rules, 3, -1, 4, 5, 6, is_leading=False) is None
    assert (seen(rules, 3, NAN, is_leading=False) or ())[:2] == (2, "diverged")


def test_values_of_other_metrics_are_of_no_concern() -> None:
    """Each condition sees the values of its own metric, and begins again if its key comes to mean another."""
    judge = StopJudge([StopRule(metric="accuracy", above=0.5), patience(2)])
    loss, accuracy = WantedMetric("loss"), WantedMetric("accuracy")
    assert judge.metrics == [accuracy, loss]
    first = [MetricValue(loss, LOSS, 1), MetricValue(loss, LOSS, 1), MetricValue(loss, (None, "loss"), 1)]
    assert judge.see(first) is None
    assert judge.see([MetricValue(accuracy, ("val", "accuracy"), 0.6)]) is not None


def reference(numbers: Sequence[float], count: int, min_delta: float) -> int | None:
    """After how many values Keras's EarlyStopping, of which NaN improves nothing, would stop."""
    best, wait = INF, 0
    for seen_so_far, number in enumerate(numbers, 1):
        wait += 1
        if math.isfinite(number) and number + min_delta < best:
            best, wait = number, 0
        if wait >= count:
            return seen_so_far
    return None


NUMBERS = st.lists(st.one_of(st.integers(-5, 5).map(float), st.sampled_from([NAN, INF, -INF])), max_size=40)


@given(NUMBERS, st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0]), st.data())
@settings(max_examples=amount(30, long=2000), deadline=None)
def test_patience_is_that_of_keras_however_values_arrive(
    numbers: list[float], count: int, min_delta: float, data: st.DataObject
) -> None:
    """It stops with the same value, whether values arrive one by one, at once, or after a restart."""
    rule, judge = patience(count, min_delta=min_delta), StopJudge([patience(count, min_delta=min_delta)])
    one_by_one = seen(rule, *numbers)
    assert (one_by_one and one_by_one[0]) == reference(numbers, count, min_delta)
    split = data.draw(st.integers(0, len(numbers)))
    wanted = [MetricValue(WantedMetric("loss"), LOSS, number) for number in numbers]
    decision = judge.see(wanted[:split]) or judge.see(wanted[split:])
    assert (decision and decision.message) == (one_by_one and one_by_one[2])


def test_a_divergence_of_a_trial_prunes_it() -> None:
    """Inside a search NaN is no failure; other conditions stop as they do elsewhere."""
    rules = [StopRule(metric="loss"), StopRule(metric="loss", below=0)]
    for number, reason in ((NAN, "pruned"), (-1, "target")):
        decision = TrialJudge(StopJudge(rules)).see([*values(1, epoch=1), *values(number, epoch=2)])
        assert decision is not None
        assert (decision.reason, decision.at) == (reason, 2 if reason == "pruned" else None)


def test_a_pruner_gets_each_value_with_its_position() -> None:
    """The step, else the epoch, else the number of the value; of rank 0 alone, and only of its metric."""
    passed: list[tuple[float, float]] = []
    wanted = WantedMetric("loss")
    judge = TrialJudge(StopJudge([]), PruneJudge(wanted, passed.extend))
    assert judge.metrics == [wanted]
    assert judge.expected == []
    places: list[dict[str, float]] = [{"step": 7, "epoch": 1}, {"epoch": 2}, {}, {"step": NAN}]
    for index, place in enumerate(places):
        assert judge.see(values(index, **place)) is None
    assert judge.see(values(9, is_leading=False)) is None
    assert passed == [(7, 0), (2, 1), (3, 2), (4, 3)]
