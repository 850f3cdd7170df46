from __future__ import annotations

import math

import pytest

from nemorun_cli.model.best import Candidate, Exclusion, Goal, choose, split_key


def candidate(value: float | None, *, status: str = "COMPLETED", **more: object) -> Candidate:
    """A run that ended with this value."""
    return Candidate(**{"status": status, "reason": None, "last": value, "value": value, **more})  # type: ignore[arg-type] # fields by name


def test_runs_are_ranked_by_their_values() -> None:
    """The best comes first; the status of tasks counts as that of records."""
    runs = [candidate(2.0), candidate(1, status="SUCCEEDED"), candidate(3.0)]
    assert choose(runs, Goal.MINIMIZE, metric="loss").ranked == [1, 0, 2]
    assert choose(runs, Goal.MAXIMIZE, metric="loss").ranked == [2, 0, 1]


@pytest.mark.parametrize("goal", Goal)
def test_of_equal_runs_the_first_wins(goal: Goal) -> None:
    """Equal values keep their order, whichever are better."""
    choice = choose([candidate(1.0), candidate(1.0)], goal, metric="loss")
    assert (choice.ranked, choice.tied) == ([0, 1], 2)


@pytest.mark.parametrize(
    ("run", "reason", "message"),
    [
        (candidate(0.0, status="FAILED"), Exclusion.STATUS, "is FAILED"),
        (candidate(0.0, status="RUNNING"), Exclusion.STATUS, "is RUNNING"),
        (candidate(0.0, reason="pruned"), Exclusion.PRUNED, "was pruned"),
        (candidate(None), Exclusion.MISSING, "has no loss"),
        (candidate(0.0, last=math.nan), Exclusion.NOT_FINITE, "ended with loss nan"),
        (candidate(0.0, last=-math.inf), Exclusion.NOT_FINITE, "ended with loss -inf"),
        (candidate(-math.inf, last=0.0), Exclusion.NOT_FINITE, "has the value -inf"),
    ],
)
def test_a_run_that_cannot_win_has_a_reason(run: Candidate, reason: Exclusion, message: str) -> None:
    """Only a run that succeeded, was not pruned and ended with a finite value can be the best."""
    choice = choose([run, candidate(5)], Goal.MINIMIZE, metric="loss")
    assert choice.ranked == [1]
    assert [(each.index, each.reason, each.message) for each in choice.excluded] == [(0, reason, message)]


def test_integers_of_any_size_are_finite() -> None:
    """An integer that is too large for a float can win."""
    assert choose([candidate(1.0), candidate(10**400)], Goal.MAXIMIZE, metric="n").ranked == [1, 0]


def test_a_key_ends_with_an_aggregate_or_not() -> None:
    """Only `last`, `min`, `max` and `mean` are aggregates."""
    assert split_key("train/loss:mean") == ("train/loss", "mean")
    assert split_key("loss:count") == ("loss:count", None)
    assert split_key(":min") == (":min", None)
