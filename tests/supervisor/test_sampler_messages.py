"""What a new process gets of the past: it decides as one that has seen it, and judges nothing again."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.search_studies import Study, rule

from nemorun_cli.model.search import PRUNERS, trial_id
from nemorun_cli.scheduler.search.sampler_process import Conversation
from nemorun_cli.storage.study_state import StudyState
from nemorun_cli.supervisor import sampler_messages

if TYPE_CHECKING:
    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.supervisor.sampler_messages import Values

OPTIONS: dict[str, dict[str, Any]] = {
    "asha": {"reduction_factor": 2},
    "hyperband": {"reduction_factor": 2},
    "median": {"n_startup_trials": 1},
    "threshold": {"upper": 8.5},
    "patient": {"patience": 2},
}
"""The first two have lengths that depend on the first complete trial."""

TIME = "2026-01-02T03:00:00.000Z"
TASKS = {trial_id("train", number): 1 for number in range(1, 100)}


def pruned_by(name: str) -> SearchRule:
    """A rule with a pruner."""
    return rule("random", pruner=name, pruner_options=OPTIONS[name])


class Driver:
    """Several trials at once, and what a ledger and the records have of them.

    Args:
        of: the rule.
        kills: how likely the process is replaced after a value or a result.
    """

    def __init__(self, of: SearchRule, *, kills: float, seed: int) -> None:
        self.rule, self.state, self.decided = of, StudyState(), []  # type: SearchRule, StudyState, list[Any]
        self._seen: dict[int, tuple[int, Values]] = {}
        self._kills, self._random = kills, Random(seed)  # noqa: S311 - of when it is replaced
        self._study = Study(of)

    def _event(self, number: int, **fields: Any) -> dict[str, Any]:
        known = {"time": TIME, "task": trial_id("train", number), "number": number, "attempt": 1}
        return {**known, **fields, "pruner": self.rule.pruner_text}

    def _replace(self) -> None:
        if self._random.random() < self._kills:
            self._study = Study(self.rule)
            for message in sampler_messages.of_past(self.state, self.rule, self._seen):
                is_past = "values" in message and message["values"]["number"] in self.state.results
                if is_past:
                    message["values"]["is_past"] = True
                answers = self._study.request(dict(message))
                assert not any("prune" in answer or "rung" in answer for answer in answers), message

    def suggest(self, number: int) -> None:
        """Begin a trial."""
        suggestion = self._study.suggest(number)
        assert not self.state.suggest(self._event(number, params=suggestion["params"]))

    def show(self, number: int, step: float, value: float) -> bool:
        """Show a value of a trial; returns whether it is pruned at it."""
        self._seen.setdefault(number, (1, []))[1].append((step, value))
        answers = self._study.request(sampler_messages.of_values(number, 1, [(step, value)]))
        is_pruned = False
        for answer in answers:
            self.decided.append(repr(answer))
            if reached := answer.get("rung"):
                self.state.reach(self._event(**reached, rung_value=reached["value"]))
            else:
                at, given = answer["prune"]["position"], answer["prune"]["value"]
                event = self._event(number, pruned_at=at, pruned_value=given)
                self.state.prune(event, task=event["task"], attempt=event["attempt"])
                is_pruned = True
        self._replace()
        return is_pruned

    def end(self, number: int, **result: Any) -> None:
        """Record the result of a trial."""
        open_trials = [each for each in self._seen if each not in self.state.results and each != number]
        judged = {
            trial_id("train", each): max(step for step, _ in self._seen[each][1]) for each in open_trials
        }
        fields = {"judged": judged, **result}
        if result["outcome"] == "complete":
            fields["last_step"] = max(step for step, _ in self._seen[number][1])
        event = self._event(number, **fields)
        assert not self.state.end(event)
        self.state.note_judged(event, TASKS)
        self._study.add(sampler_messages.of_event(self.state.results[number]))
        self._replace()


def ran(name: str, *, seed: int, kills: float, workers: int) -> tuple[list[Any], StudyState]:
    """What is decided in a study whose trials log values in an order of their own."""
    random = Random(seed)  # noqa: S311 - of made-up values
    driver, running, number = Driver(pruned_by(name), kills=kills, seed=seed), dict[int, int](), 0
    numbers = [*(9 * random.random() for _ in range(50)), math.nan, math.inf, -math.inf]
    while number < amount(12, long=40) or running:
        if len(running) < workers and number < amount(12, long=40):
            number += 1
            running[number] = 0
            driver.suggest(number)
            continue
        chosen = random.choice(sorted(running))
        running[chosen] += 1
        step, value = running[chosen], random.choice(numbers)
        if driver.show(chosen, step, value):
            given = value if math.isfinite(value) else None
            driver.end(chosen, outcome="pruned", pruned_at=step, pruned_value=given)
        elif step == 9:
            outcome = random.choice(["complete", "complete", "failed"])
            values = {"values": [1.0]} if outcome == "complete" else {}
            driver.end(chosen, outcome=outcome, **values)
        else:
            continue
        running.pop(chosen)
    return driver.decided, driver.state


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize("seed", range(amount(1, long=100)))
def test_a_replaced_process_judges_nothing_again(name: str, seed: int) -> None:
    """However often it is replaced, the decisions on several trials at once are those of one process."""
    whole, state = ran(name, seed=seed, kills=0, workers=3)
    replaced, again = ran(name, seed=seed, kills=0.3, workers=3)
    assert (replaced, again) == (whole, state)
    assert any(each.pruned_at is not None for each in state.results.values())


def test_the_past_is_read_in_a_time_that_grows_with_it() -> None:
    """Of trials with a result a pruner with rungs gets these: no value, whose number is larger by far."""
    _, state = ran("hyperband", seed=1, kills=0, workers=3)
    seen: dict[int, tuple[int, Values]] = {number: (1, [(1, 1)]) for number in state.results}
    of = pruned_by("hyperband")
    messages = list(sampler_messages.of_past(state, of, seen))
    assert {next(iter(message)) for message in messages} == {"suggested", "judged", "trial_ended"}
    conversation = Conversation(of, lambda answer: pytest.fail(f"{answer} was not asked for"))
    for message in messages:
        conversation.answer(message)


def test_what_another_pruner_judged_is_judged_again() -> None:
    """A resume that changes the pruner applies it to all values, which are read again."""
    _, state = ran("asha", seed=1, kills=0, workers=3)
    seen: dict[int, tuple[int, Values]] = {number: (1, [(1, 1)]) for number in state.results}
    messages = list(sampler_messages.of_past(state, pruned_by("hyperband"), seen))
    assert {next(iter(message)) for message in messages} == {"suggested", "values", "trial_ended"}
