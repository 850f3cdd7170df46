"""The state of a search: what its events make of it, and that it is the same after any of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from support.schedules import schedule, task

from nemorun_cli.errors import StateError
from nemorun_cli.model.search import Outcome, Suggestion, TrialResult
from nemorun_cli.storage.study_state import JudgedSteps

if TYPE_CHECKING:
    from nemorun_cli.storage.state import ExperimentState

TIME = "2026-11-22T03:11:33.120Z"


def state(*, strict: bool = True) -> ExperimentState:
    """The state of an experiment with two trials."""
    trials = [task(f"train/trial-000{number}", number, group="train") for number in (1, 2)]
    history = schedule(*trials).history
    history.strict = strict
    return history


def event(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    """An event about a trial."""
    own = {"event": kind, "time": TIME, "by": "b", "task": f"train/trial-000{number}", **fields}
    return own | (
        {"number": number} if kind in {"suggested", "rung_reached", "trial_ended"} else {"attempt": 1}
    )


def over(number: int, **fields: Any) -> list[dict[str, Any]]:
    """The events of a trial that has run."""
    params = {"lr": number / 10}
    return [
        event("suggested", number, params=params, written={"n": number}),
        event("submitted", number),
        event("ended", number, status="SUCCEEDED", **fields),
    ]


def test_suggestions_and_results_are_kept_in_their_order() -> None:
    """A later suggestion depends on the events before it: their order is kept, with all that they have."""
    history = state()
    history.apply_all([*over(2), *over(1)])
    history.apply(event("trial_ended", 1, attempt=1, outcome="complete", values=[0.5]))
    history.apply(event("trial_ended", 2, attempt=1, outcome="failed", message="has no loss"))
    study = history.studies["train"]
    suggestions = [Suggestion(number=n, params={"lr": n / 10}, written={"n": n}) for n in (2, 1)]
    complete = TrialResult(number=1, outcome=Outcome.COMPLETE, values=(0.5,))
    failed = TrialResult(number=2, outcome=Outcome.FAILED, message="has no loss")
    assert study.order == [*suggestions, complete, failed]
    assert (list(study.suggestions), list(study.results), study.began) == ([2, 1], [1, 2], TIME)


def test_a_trial_that_runs_again_loses_its_result_and_keeps_its_suggestion() -> None:
    """A resume that runs a trial again takes its result out of the study; the new one comes last."""
    history = state()
    history.apply_all([*over(1), event("trial_ended", 1, attempt=1, outcome="complete", values=[0.5])])
    history.apply_all([*over(2), event("trial_ended", 2, attempt=1, outcome="complete", values=[0.7])])
    tasks = {"train/trial-0001": 2, "other": 2}
    history.strict = False
    history.apply({"event": "resumed", "time": TIME, "by": "b", "tasks": tasks})
    study = history.studies["train"]
    assert (list(study.suggestions), list(study.results)) == ([1, 2], [2])
    assert [type(entry) for entry in study.order] == [Suggestion, Suggestion, TrialResult]


def test_a_trial_has_one_suggestion_and_one_result() -> None:
    """A second suggestion or result of a trial, and a result before its end, are refused."""
    history = state()
    first = over(1)
    history.apply(first[0])
    with pytest.raises(StateError, match="trial 1 has a suggestion"):
        history.apply(first[0])
    result = event("trial_ended", 1, attempt=1, outcome="complete", values=[0.5])
    with pytest.raises(StateError, match="the trial is PENDING"):
        history.apply(result)
    history.apply_all(first[1:])
    history.apply(result)
    with pytest.raises(StateError, match="trial 1 has a result"):
        history.apply(result)


def test_a_trial_that_ended_before_its_signal_counts_as_pruned() -> None:
    """A result `pruned` makes it the reason of a trial that succeeded by itself, and of no other."""
    history = state()
    history.apply_all(over(1))
    history.apply(
        event("trial_ended", 1, attempt=1, outcome="pruned", pruned_at=3, pruned_value=0.7, message="worse")
    )
    own = history.tasks["train/trial-0001"]
    assert (own.reason, own.message) == ("pruned", "worse")
    history.apply_all(over(2, reason="target"))
    history.apply(event("trial_ended", 2, attempt=1, outcome="pruned"))
    assert history.tasks["train/trial-0002"].reason == "target"


def test_an_outcome_of_a_later_version_is_ignored() -> None:
    """A reader knows no result of a trial whose outcome it does not know."""
    history = state(strict=False)
    history.apply_all([*over(1), event("trial_ended", 1, attempt=1, outcome="paused")])
    assert (history.studies["train"].results, history.ignored) == ({}, [])


def test_a_rung_that_was_reached_stays_as_it_was() -> None:
    """The first event of a rung counts; those of another attempt or pruner replace all before."""
    history = state()
    history.apply_all(over(1)[:2])
    reached = {"attempt": 1, "rung": 1, "step": 1, "rung_value": 0.5, "pruner": "asha"}
    history.apply(event("rung_reached", 1, **reached))
    history.apply(event("rung_reached", 1, **reached | {"rung_value": 0.1}))
    history.apply(event("rung_reached", 1, **reached | {"rung": 2, "step": 4, "rung_value": "-inf"}))
    study = history.studies["train"]
    assert [(rung.rung, rung.step, rung.value) for rung in study.rungs[1]] == [(1, 1, 0.5), (2, 4, -math.inf)]
    history.apply(event("rung_reached", 1, **reached | {"pruner": "hyperband"}))
    assert [(rung.rung, rung.pruner) for rung in study.rungs[1]] == [(1, "hyperband")]
    history.apply(event("ended", 1, status="FAILED"))
    history.apply(event("trial_ended", 1, attempt=1, outcome="failed"))
    assert study.rungs == {}, "a failed trial competes with none"


def test_a_result_says_how_far_others_were_judged() -> None:
    """The steps belong to the attempts of then, and to the pruner of the event."""
    history = state()
    history.apply_all([*over(1), *over(2)[:2]])
    judged = {"train/trial-0002": 3, "train/other": 1}
    history.apply(
        event("trial_ended", 1, attempt=1, outcome="complete", values=[1], judged=judged, pruner="median")
    )
    assert history.studies["train"].judged == {2: JudgedSteps(1, 3, "median")}
    history.apply_all(
        [event("ended", 2, status="SUCCEEDED"), event("trial_ended", 2, attempt=1, outcome="pruned")]
    )
    assert history.studies["train"].judged == {}
