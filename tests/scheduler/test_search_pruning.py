"""Pruning: the decision is at a position, the same for the same values however their lines were cut."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount
from support.search_studies import Study, copied, rule

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import PRUNERS
from nemorun_cli.scheduler.search.faults import SearchFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.search import SearchRule

OPTIONS: dict[str, dict[str, Any]] = {
    "asha": {"min_resource": 1, "reduction_factor": 2},
    "hyperband": {"min_resource": 1, "max_resource": 12, "reduction_factor": 2},
    "median": {"n_startup_trials": 1, "n_warmup_steps": 1},
    "threshold": {"upper": 7.0},
    "patient": {"patience": 1},
}
NUMBERS = st.floats(0, 9) | st.sampled_from([math.nan, math.inf, -math.inf])
CURVES = st.lists(st.lists(NUMBERS, min_size=1, max_size=10), min_size=2, max_size=5)


def pruned_by(name: str, **options: Any) -> SearchRule:
    """A rule with a pruner."""
    return rule("random", pruner=name, pruner_options=options)


def decision(answers: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """Where a trial is pruned, and its value there; None if it is not."""
    found = [
        (answer["prune"]["position"], answer["prune"]["value"]) for answer in answers if "prune" in answer
    ]
    assert len(found) <= 1
    return found[0] if found else None


def shown(study: Study, number: int, values: Sequence[Sequence[float]], **fields: Any) -> Any:
    """The decision on values of a trial that arrive together."""
    return decision(study.request({"values": {"number": number, "values": list(values), **fields}}))


def trial(study: Study, number: int, values: Sequence[float], *, cuts: Sequence[int] = ()) -> Any:
    """A trial that logs values at the steps 1, 2, …, so many in a line; returns the decision on it."""
    study.suggest(number)
    rows, found = list(enumerate(values, 1)), []
    for cut in cuts:
        found.append(shown(study, number, rows[:cut]))
        rows = rows[cut:]
    found.append(shown(study, number, rows, last=True))
    decisions = [one for one in found if one is not None]
    assert len(decisions) <= 1
    result: dict[str, Any] = {"number": number, "outcome": "complete", "values": [values[-1]]}
    if decisions:
        at, value = decisions[0]
        result = {"number": number, "outcome": "pruned", "pruned_at": at, "pruned_value": value}
    study.add({"trial_ended": result})
    return decisions[0] if decisions else None


@pytest.mark.parametrize("name", PRUNERS)
@settings(max_examples=amount(6, long=500), deadline=None, derandomize=True)
@given(curves=CURVES, cuts=st.lists(st.integers(0, 4), max_size=4), goal=st.sampled_from(list(Goal)))
def test_a_decision_depends_on_the_values_alone(
    name: str, curves: list[list[float]], cuts: list[int], goal: Goal
) -> None:
    """Values in one line, in several, and Optuna itself give the same decision at the same value."""
    of = rule("random", pruner=name, pruner_options=OPTIONS[name], goals=(goal,))
    whole, parts = Study(of), Study(of)
    theirs = [repr(step) for step in decisions_of_optuna(name, curves, goal)]
    assert [repr(trial(whole, number, curve)) for number, curve in enumerate(curves, 1)] == theirs
    assert [repr(trial(parts, number, curve, cuts=cuts)) for number, curve in enumerate(curves, 1)] == theirs


def decisions_of_optuna(name: str, curves: Sequence[Sequence[float]], goal: Goal) -> list[Any]:
    """What `should_prune` returns in a program that reports the same values."""
    kinds: dict[str, Any] = {
        "asha": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "median": optuna.pruners.MedianPruner,
        "threshold": optuna.pruners.ThresholdPruner,
        "patient": lambda **options: optuna.pruners.PatientPruner(None, **options),
    }
    study = optuna.create_study(
        study_name="search",
        direction="minimize" if goal is Goal.MINIMIZE else "maximize",
        pruner=kinds[name](**OPTIONS[name]),
    )
    found: list[Any] = []
    for curve in curves:
        one = study.ask()
        for step, value in enumerate(curve, 1):
            one.report(value, step)
            if one.should_prune():
                study.tell(one, state=optuna.trial.TrialState.PRUNED)
                found.append((float(step), value))
                break
        else:
            is_number = not math.isnan(curve[-1])
            study.tell(
                one,
                curve[-1] if is_number else None,
                state=None if is_number else optuna.trial.TrialState.FAIL,
            )
            found.append(None)
    return found


MESSAGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "asha": ("asha", {"min_resource": 1}, "7 is not among the best quarter of 3 trials at rung 1"),
    "rungs": (
        "asha",
        {"min_resource": 1, "reduction_factor": 2, "bootstrap_count": 3},
        "it is one of the first 3 trials at rung 1",
    ),
    "hyperband": (
        "hyperband",
        {"max_resource": 2},
        "7 is not among the best third of the trials of its bracket",
    ),
    "median": (
        "median",
        {"n_startup_trials": 1},
        "its lowest value 7 is above the median 2 of 2 complete trials",
    ),
    "threshold": ("threshold", {"upper": 6}, "7 is above upper 6"),
    "below": ("threshold", {"lower": 7.5}, "7 is below lower 7.5"),
    "patient": (
        "patient",
        {"patience": 0, "min_delta": 0.1},
        "no improvement in its last value by more than 0.1",
    ),
}


@pytest.mark.parametrize(("name", "options", "message"), MESSAGES.values(), ids=MESSAGES)
def test_a_poor_trial_is_pruned_with_its_position_and_the_reason(
    name: str, options: dict[str, Any], message: str
) -> None:
    """The message names what the value was compared with; further values do not count."""
    study = Study(pruned_by(name, **options))
    for number, value in enumerate((1, 3), 1):
        study.suggest(number)
        shown(study, number, [[1, value]])
        study.add({"trial_ended": {"number": number, "outcome": "complete", "values": [value]}})
    study.suggest(3)
    values = {"number": 3, "values": [[1, 7], [2, 8], [3, 9]]}
    (answer,) = [one for one in study.request({"values": values}) if "rung" not in one]
    assert answer["prune"]["message"] == message.replace("7 is not", f"{answer['prune']['value']:g} is not")
    assert answer["prune"]["value"] == 6 + answer["prune"]["position"]
    assert shown(study, 3, [[4, 9]]) is None
    study.suggest(4)
    nan = study.request({"values": {"number": 4, "values": [[1, math.nan], [2, math.nan]]}})
    assert all(one["prune"]["message"] == "its value is NaN" for one in nan)


def test_the_end_of_the_values_is_answered() -> None:
    """`judged` follows the decision on the last values, also if there is no pruner or none is left."""
    study = Study(pruned_by("threshold", upper=5))
    study.suggest(1)
    answers = study.request({"values": {"number": 1, "values": [[1, 9]], "last": True}})
    assert [next(iter(answer)) for answer in answers] == ["prune", "judged"]
    assert study.request({"values": {"number": 1, "values": [], "last": True}}) == [{"judged": {"number": 1}}]
    without = Study(rule("random"))
    assert without.request({"values": {"number": 9, "values": [[1, 9]], "last": True}}) == [
        {"judged": {"number": 9}}
    ]


def test_the_first_value_at_a_position_counts() -> None:
    """A second one changes nothing, and one of an earlier position is no reason to prune."""
    study = Study(pruned_by("threshold", upper=5))
    study.suggest(1)
    assert shown(study, 1, [[2, 1], [2, 9], [1, 9], [2.5, 2]]) is None
    assert shown(study, 1, [[3, 9]]) == (3.0, 9.0)


def test_values_of_a_later_attempt_replace_those_before() -> None:
    """A trial that is tried again is judged by what it logs then."""
    study = Study(pruned_by("patient", patience=1))
    study.suggest(1)
    assert shown(study, 1, [[1, 1], [2, 2]]) is None
    assert shown(study, 1, [[1, 5], [2, 6]], attempt=2) is None
    assert shown(study, 1, [[3, 9]], attempt=1) is None
    assert shown(study, 1, [[3, 7]], attempt=2) == (3.0, 7.0)


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_the_length_of_a_trial_is_that_of_the_first_complete_one(name: str) -> None:
    """Without a given length nothing is pruned before; an epoch can be a fraction."""
    study = Study(pruned_by(name))
    study.suggest(1)
    study.suggest(2)
    assert shown(study, 2, [[0.5, 9], [1, 9]]) is None
    assert shown(study, 1, [[0.5, 1], [1, 1], [26.5, 1]]) is None
    study.add({"trial_ended": {"number": 1, "outcome": "complete", "values": [1]}})
    found = []
    for number in range(3, 12):
        study.suggest(number)
        found.append(shown(study, number, [[0.5, number], [1, number], [26.5, number]]))
    assert any(decided is not None and decided[0] == 1.0 for decided in found)  # Hyperband: of some brackets


@pytest.mark.parametrize("is_past", [False, True])
@pytest.mark.parametrize("name", PRUNERS)
def test_a_process_that_gets_everything_again_decides_the_same(name: str, *, is_past: bool) -> None:
    """One trial after the other: values, then the result, as a supervisor sends them after a restart."""
    curves = [[5, 4, 3, 2], [6, 5, 4, 3], [2, 3, 8, 9], [7, 7, 7, 8], [9, 8, 9, 9]]
    study = Study(rule("random", pruner=name, pruner_options=OPTIONS[name]))
    requests: list[dict[str, Any]] = []
    for number, curve in enumerate(curves[:-1], 1):
        found = trial(study, number, curve)
        values = {"number": number, "values": list(enumerate(curve, 1)), "is_past": is_past}
        requests.append({"values": values})
        assert ("pruned_at" in study.events[-1]["trial_ended"]) == (found is not None)
    again = Study(study.rule)
    for event in copied(study.events):
        if "trial_ended" in event:
            answers = again.request(requests[event["trial_ended"]["number"] - 1])
            assert not is_past or answers == []
        again.add(event)
    assert trial(again, 5, curves[-1]) == trial(study, 5, curves[-1])


BAD = {
    "unknown": (pruned_by("magic"), "no pruner is called 'magic'"),
    "option": (pruned_by("median", n_start=1), "Optuna refuses the pruner median: "),
    "range": (pruned_by("asha", reduction_factor=1), "must be `reduction_factor >= 2`"),
    "goals": (
        rule("tpe", pruner="median", metrics=("a", "b"), goals=(Goal.MINIMIZE, Goal.MINIMIZE)),
        "a search with several goals can have no pruner",
    ),
}


@pytest.mark.parametrize(("of", "message"), BAD.values(), ids=BAD)
def test_a_pruner_that_cannot_be_used_is_refused(of: SearchRule, message: str) -> None:
    """The process gives the reason before the first trial."""
    with pytest.raises(SearchFault) as refused:
        Study(of)
    assert message in str(refused.value)
