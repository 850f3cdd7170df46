"""Suggestions: functions of the rule, the number of the trial and the events before it, for every sampler."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.extent import IS_LONG, amount
from support.search_studies import Study, conditional, copied, exact, rule, value

from nemorun_cli.model import search_grid
from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import SAMPLERS, ParamKind, SearchParam, SearchRule
from nemorun_cli.scheduler.search.faults import SearchFault
from nemorun_cli.scheduler.search.samplers import seed_of

if TYPE_CHECKING:
    from random import Random

TWO_GOALS = {"metrics": ("loss", "size"), "goals": (Goal.MINIMIZE, Goal.MAXIMIZE)}
RULES = {
    **{f"{sampler}, conditions": conditional(sampler) for sampler in SAMPLERS if sampler != "nsgaii"},
    "tpe, two goals": rule("tpe", **TWO_GOALS),
    "nsgaii, two goals": rule("nsgaii", **TWO_GOALS),
}
if IS_LONG:
    RULES |= {sampler: rule(sampler) for sampler in SAMPLERS}
    RULES["nsgaii, conditions"] = conditional("nsgaii")
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def number_of_trials(of: SearchRule) -> int:
    """So many that each part of a sampler is used: NSGA-II has a second generation after 50 trials."""
    return 62 if of.sampler == "nsgaii" else 24


@pytest.mark.parametrize("of", RULES.values(), ids=RULES)
@settings(
    max_examples=amount(1, long=60), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(random=st.randoms(use_true_random=False), workers=st.integers(1, 4))
def test_a_killed_process_suggests_what_one_that_lives_does(
    of: SearchRule, random: Random, workers: int
) -> None:
    """A process that gets the events again gives the same suggestion, to the last digit."""
    alive = Study(of)
    suggestions = alive.run(number_of_trials(of), seed=random.randrange(2**32), workers=workers)
    for number in random.sample(range(len(suggestions)), amount(3, long=8)):
        before, suggestion = suggestions[number]
        after = Study(of, copied(alive.events[:before]))
        assert exact(after.suggest(number + 1)) == suggestion
    last = Study(of, copied(alive.events))
    more = len(suggestions) + 1
    assert exact(last.suggest(more)) == exact(alive.suggest(more))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_suggestion_that_was_not_recorded_leaves_nothing(sampler: str) -> None:
    """A suggestion is made again if a result arrives before it is recorded."""
    study = Study(rule(sampler))
    study.run(12, seed=1)
    running = study.suggest(13)
    study.suggest(14, add=False)
    study.end(13, running["params"])
    again = Study(study.rule, copied(study.events))
    assert exact(study.suggest(14)) == exact(again.suggest(14))


def test_the_seed_of_a_trial_is_the_same_everywhere() -> None:
    """A study can be continued with another version of Python."""
    assert seed_of(rule(seed=3), 7) == 3454296211
    assert seed_of(rule(seed=3), 8) != seed_of(rule(seed=4), 7)


def test_tpe_draws_what_optuna_draws() -> None:
    """The sampler that gets its space from the rule draws what Optuna's own does."""
    study = Study(rule("tpe"))
    theirs = optuna.create_study()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for number in range(1, 20):
        seed = seed_of(study.rule, number)
        theirs.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        trial = theirs.ask()
        drawn = {
            "x": trial.suggest_float("x", -5, 5),
            "layers": trial.suggest_int("layers", 1, 8),
            "kind": trial.suggest_categorical("kind", range(7)),
        }
        ours = study.suggest(number)["params"]
        assert (ours["x"], ours["layers"]) == (drawn["x"], drawn["layers"])
        theirs.tell(trial, value(ours))
        study.end(number, ours)


def test_tpe_finds_more_than_chance() -> None:
    """Results reach the sampler, with the right sign."""
    best = {}
    for goal in Goal:
        study = Study(rule("tpe", goals=(goal,)))
        found = [value(json.loads(text)["params"]) for _, text in study.run(40, seed=2)]
        best[goal] = sum(found[20:]) / 20
    assert best[Goal.MINIMIZE] + 5 < best[Goal.MAXIMIZE]


@settings(max_examples=amount(6, long=1_000), deadline=None)
@given(choices=st.lists(ANY, min_size=1, max_size=5, unique_by=exact), number=st.integers(1, 5))
def test_choices_of_any_type_stay_what_they_are(choices: list[Any], number: int) -> None:
    """A choice is suggested as it was written: 1, 1.0 and true differ, and mappings are values."""
    param = SearchParam(name="any", kind=ParamKind.CHOICES, choices=tuple(choices))
    wanted = choices[number % len(choices)]
    of = rule("random", params=(param,), start_with=({"any": wanted},))
    study = Study(SearchRule.from_json(copied(of.to_json())))
    assert exact(study.suggest(1)["params"]["any"]) == exact(wanted)
    assert exact(study.suggest(2)["params"]["any"]) in {exact(choice) for choice in choices}


@settings(max_examples=amount(6, long=1_000), deadline=None)
@given(
    ends=st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)).map(sorted),
    whole=st.tuples(st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53)).map(sorted),
)
def test_numbers_stay_what_they_are(ends: list[float], whole: list[int]) -> None:
    """A number is in its range, and the same after it was a line of JSON; a whole number is an integer."""
    params = (
        SearchParam(name="x", kind=ParamKind.FLOAT, low=ends[0] / 2, high=ends[1] / 2),
        SearchParam(name="n", kind=ParamKind.INT, low=whole[0], high=whole[1]),
    )
    of = rule("random", params=params, start_with=({"x": ends[1] / 2, "n": whole[0]},))
    study = Study(SearchRule.from_json(copied(of.to_json())))
    assert study.suggest(1)["params"] == {"x": ends[1] / 2, "n": whole[0]}
    drawn = study.suggest(2)["params"]
    assert ends[0] / 2 <= drawn["x"] <= ends[1] / 2
    assert whole[0] <= drawn["n"] <= whole[1]
    assert isinstance(drawn["n"], int)
    Study(of, copied(study.events)).suggest(3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_to_start_with_are_taken_and_others_are_drawn(sampler: str) -> None:
    """The first trials have the values that were given; a param without one gets a value nevertheless."""
    study = Study(rule(sampler, start_with=({"x": 1, "kind": True}, {"layers": 2})))
    first, second, third = (study.suggest(number)["params"] for number in (1, 2, 3))
    assert exact([first["x"], first["kind"]]) == "[1.0, true]"
    assert 1 <= first["layers"] <= 8
    assert second["layers"] == 2
    assert third.keys() == first.keys() == second.keys() == {"x", "layers", "kind"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_param_has_a_value_only_where_its_condition_is_true(sampler: str) -> None:
    """A condition sees the values of the params above it, and one over a param without a value is false."""
    study = Study(conditional(sampler))
    for _, text in study.run(amount(16, long=60), seed=4):
        params = json.loads(text)["params"]
        assert ("deep" in params) == (params["layers"] > 4)
        assert ("deeper" in params) == (params.get("deep", 0) > (1 if sampler == "grid" else 0.01))


def test_a_condition_that_cannot_be_evaluated_is_a_problem_of_its_trial() -> None:
    """The question is answered with the param and the reason; the next one is not affected."""
    wrong = SearchParam(
        name="wrong", kind=ParamKind.CHOICES, choices=(1,), when="${{ 1 / (search.layers - 4) > 0 }}"
    )
    study = Study(rule("tpe", params=(*rule().params, wrong), start_with=({"layers": 4},)))
    (answer,) = study.request({"ask": 1})
    reason = "${{ 1 / (search.layers - 4) > 0 }}: cannot be evaluated: division by zero"
    assert answer == {"problem": {"number": 1, "message": f"the condition of wrong: {reason}"}}
    assert exact(study.suggest(2)) == exact(Study(study.rule).suggest(2))


def test_a_grid_takes_each_point_once() -> None:
    """All points are suggested, in an order of the seed's; then the process reports that none is left."""
    study = Study(conditional("grid"))
    points = set()
    while "suggestion" in (answer := study.request({"ask": len(points) + 1})[0]):
        study.add({"suggested": answer["suggestion"]})
        points.add(exact(answer["suggestion"]["params"]))
        assert len(points) == answer["suggestion"]["number"]
    assert len(points) == 7 * (4 + 4 * 3)  # kinds; layers without and with deep, which is 1, or 2 with a or b
    assert search_grid.size(study.rule) == 7 * 8 * 2 * 2
    assert answer == {
        "exhausted": {"number": 113, "message": "the grid has no point left: its 112 points are taken"}
    }
    other = Study(SearchRule.from_json({**conditional("grid").to_json(), "seed": 4}))
    assert other.suggest(1)["params"] != study.events[0]["suggested"]["params"]


def test_the_values_of_a_grid_are_as_written() -> None:
    """Steps add up without an error of rounding."""
    param = SearchParam(name="x", kind=ParamKind.FLOAT, low=0, high=1, step=0.1)
    assert [search_grid.value(param, index) for index in (0, 3, 10)] == [0.0, 0.3, 1.0]
    assert search_grid.count(param) == 11


def test_params_get_shares_of_importance() -> None:
    """The param that decides comes first; without results there is a problem."""
    study = Study(rule("random"))
    (problem,) = study.request({"importances": True})
    assert problem["problem"] == {
        "number": None,
        "message": "importances need at least two trials that are complete",
    }
    study.run(60, seed=1)
    (answer,) = study.request({"importances": True})
    assert next(iter(answer["importances"])) == "x"
    assert sum(answer["importances"].values()) == pytest.approx(1)


def test_a_value_that_is_no_number_counts_as_failed() -> None:
    """The sampler gets such a result as a failure, and an infinite one as a poor value."""
    study = Study(rule("tpe"))
    for number, found in enumerate((math.nan, math.inf, 1.0) * 6, 1):
        study.suggest(number)
        study.add({"trial_ended": {"number": number, "outcome": "complete", "values": [found]}})
    study.suggest(19)


def test_a_pickle_in_a_ledger_is_not_read(tmp_path: Path) -> None:
    """What another wrote into a ledger runs no code, for CMA-ES keeps its state as numbers."""
    study = Study(rule("cmaes"))
    study.run(30, seed=3)
    written = [event["suggested"]["written"] for event in study.events if "suggested" in event]
    assert any("cma" in entry for entry in written)
    assert not any(key.startswith("cma:optimizer") for entry in written for key in entry.get("trial", ()))

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harm",)

    evil = {"trial": {"cma:optimizer:0": pickle.dumps(Harm()).hex()}}
    event = {"suggested": {**study.suggest(31, add=False), "written": evil}}
    with pytest.raises(SearchFault, match="has a pickle"):
        study.add(event)
    assert not (tmp_path / "harm").exists()


BAD = {
    "several goals": (rule("cmaes", **TWO_GOALS), "the sampler cmaes looks for one goal, not 2"),
    "no sampler": (rule("magic"), "no sampler is called 'magic'"),
    "no step": (
        rule("grid", params=(SearchParam(name="x", kind=ParamKind.FLOAT, low=0, high=1),)),
        "a grid needs choices, or a step without log, for x",
    ),
    "large grid": (
        rule("grid", params=(SearchParam(name="x", kind=ParamKind.INT, low=0, high=10**7),)),
        "the grid has 10,000,001 points, and can have at most 1,000,000",
    ),
    "log of nothing": (
        rule(params=(SearchParam(name="x", kind=ParamKind.FLOAT, low=0, high=1, log=True),)),
        "Optuna refuses the param x: ",
    ),
    "not given": (rule(start_with=({"y": 1},)), "no param is called 'y' (there are: x, layers, kind)"),
    "out of range": (rule(start_with=({"x": 9},)), "x cannot be 9: it is from -5 to 5"),
    "no choice": (rule(start_with=({"kind": False},)), "kind cannot be false: it is none of its choices"),
}


@pytest.mark.parametrize(("of", "message"), BAD.values(), ids=BAD)
def test_what_optuna_refuses_is_named(of: SearchRule, message: str) -> None:
    """What is wrong with a rule, or with values to start with, is named with its param."""
    with pytest.raises(SearchFault) as refused:  # noqa: PT012 - the rule, or its first suggestion
        study = Study(of)
        raise SearchFault(study.request({"ask": 1})[0]["problem"]["message"])
    assert message in str(refused.value)
