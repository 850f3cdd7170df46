"""Studies without an experiment: a rule over several kinds of params, and its trials with made-up results."""

from __future__ import annotations

import json
import math
from random import Random
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import ParamKind, SearchParam, SearchRule
from nemorun_cli.scheduler.search.sampler_process import Conversation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = (None, True, 1, 1.0, "1", [1, {"a": None}], {"b": [0.1]})
"""Choices, of which Python holds three for equal."""


def rule(sampler: str = "tpe", **fields: Any) -> SearchRule:
    """A rule over a float, a whole number, choices, and two params of which one is there in some trials."""
    params = (
        SearchParam(name="x", kind=ParamKind.FLOAT, low=-5, high=5, step=0.5 if sampler == "grid" else None),
        SearchParam(name="layers", kind=ParamKind.INT, low=1, high=8),
        SearchParam(name="kind", kind=ParamKind.CHOICES, choices=KINDS),
    )
    known: dict[str, Any] = {
        "params": params,
        "metrics": ("loss",),
        "goals": (Goal.MINIMIZE,),
        "trials": 1_000,
        "seed": 3,
    }
    return SearchRule(sampler=sampler, **{**known, **fields})


def conditional(sampler: str) -> SearchRule:
    """A rule with params that only some trials have."""
    deep = SearchParam(
        name="deep", kind=ParamKind.FLOAT, low=1e-4, high=1, log=True, when="${{ search.layers > 4 }}"
    )
    deeper = SearchParam(
        name="deeper", kind=ParamKind.CHOICES, choices=("a", "b"), when="${{ search.deep > 0.01 }}"
    )
    known = rule(sampler)
    kept = tuple(param for param in known.params if sampler != "grid" or param.name != "x")
    extra = (deep, deeper)
    if sampler == "grid":
        extra = (
            SearchParam(name="deep", kind=ParamKind.INT, low=1, high=2, when="${{ search.layers > 4 }}"),
            SearchParam(
                name="deeper", kind=ParamKind.CHOICES, choices=("a", "b"), when="${{ search.deep > 1 }}"
            ),
        )
    return rule(sampler, params=kept + extra)


def value(params: Mapping[str, Any]) -> float:
    """The result of a trial: the params share in it."""
    far = abs(math.log10(params.get("deep", 1)) + 2) + 2 * (params.get("deeper") == "b")
    return float(params.get("x", 0) ** 2 + params["layers"] + (params["kind"] is not None) + far)


class Study:
    """The events of a study, and the process that answers it, in this process.

    Args:
        of: the rule.
        past: the events before, as a ledger has them.
    """

    def __init__(self, of: SearchRule, past: Iterable[dict[str, Any]] = ()) -> None:
        self.rule, self.events = of, []  # type: SearchRule, list[dict[str, Any]]
        self.answers: list[dict[str, Any]] = []
        self._conversation = Conversation(of, lambda answer: self.answers.append(copied(answer)))
        for event in past:
            self.add(event)

    def add(self, event: dict[str, Any]) -> None:
        """Write an event, and send it to the process."""
        self.events.append(event)
        self.request(event)

    def request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a request as a line has it; returns the answers."""
        self.answers.clear()
        self._conversation.answer(copied(request))
        return list(self.answers)

    def suggest(self, number: int, *, add: bool = True) -> dict[str, Any]:
        """The suggestion for a trial, which is added unless the supervisor is killed before that."""
        (answer,) = self.request({"ask": number})
        assert list(answer) == ["suggestion"], answer
        if add:
            self.add({"suggested": answer["suggestion"]})
        return dict(answer["suggestion"])

    def end(self, number: int, params: Mapping[str, Any], *, outcome: str = "complete") -> None:
        """End a trial."""
        found = [value(params), -value(params)][: len(self.rule.goals)]
        result: dict[str, Any] = {"number": number, "outcome": outcome}
        if outcome == "complete":
            result["values"] = found
        elif outcome == "pruned":
            result |= {"pruned_at": 1 + number % 3, "pruned_value": found[0]}
        self.add({"trial_ended": result})

    def run(self, trials: int, *, seed: int, workers: int = 1) -> list[tuple[int, str]]:
        """Run trials of which some fail, some are pruned, and those that run end in any order.

        Returns for each suggestion how many events were before it, and its text.
        """
        random = Random(seed)  # noqa: S311 - of made-up results
        suggestions, running = [], {}  # type: list[tuple[int, str]], dict[int, dict[str, Any]]
        for number in range(1, trials + 1):
            before = len(self.events)
            if random.random() < 0.2:  # its supervisor was killed before the suggestion was recorded
                self.suggest(number, add=False)
            suggestion = self.suggest(number)
            suggestions.append((before, exact(suggestion)))
            running[number] = suggestion["params"]
            while len(running) >= workers or (number == trials and running):
                ended = random.choice(sorted(running))
                outcome = random.choices(("complete", "pruned", "failed"), (8, 1, 1))[0]
                self.end(ended, running.pop(ended), outcome=outcome)
        return suggestions


def copied(document: Any) -> Any:
    """A document as it arrives by a pipe or a ledger."""
    return json.loads(json.dumps(document))


def exact(document: Any) -> str:
    """A text that differs for values which Python holds for equal, such as 1 and true."""
    return json.dumps(document, sort_keys=True)
