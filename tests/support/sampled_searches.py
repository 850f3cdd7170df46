"""Searches with one worker whose trials run in this process; a sampler process suggests and prunes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nemorun_cli.model.search import SearchRule

PROCESS: Final = (sys.executable, "-m", "nemorun_cli.scheduler.search.sampler_process")


class AskedSampler:
    """The process that samples and prunes, asked as a supervisor asks it."""

    def __init__(self, rule: SearchRule) -> None:
        self._process = subprocess.Popen(PROCESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.send({"search": rule.to_json()})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def send(self, message: dict[str, Any]) -> None:
        """Write a message."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def ask(self, message: dict[str, Any], last: str) -> Iterator[dict[str, Any]]:
        """Write a message, and yield its answers, up to one with the field `last`."""
        self.send(message)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = json.loads(line)
            yield answer
            if last in answer:
                return


def best_value(rule: SearchRule, values: Callable[[dict[str, Any]], Iterator[float]]) -> float:
    """The smallest value of all trials that were not pruned; `values` yields those of one, step by step."""
    best = float("inf")
    with AskedSampler(rule) as sampler:
        for number in range(1, rule.trials + 1):
            (answer,) = sampler.ask({"ask": number}, "suggestion")
            suggestion = answer["suggestion"]
            sampler.send({"suggested": {name: suggestion[name] for name in ("number", "params", "written")}})
            result = _run(sampler, number, values(suggestion["params"]))
            best = min([best, *result.get("values", ())])
            sampler.send({"trial_ended": result})
    return best


def _run(sampler: AskedSampler, number: int, values: Iterator[float]) -> dict[str, Any]:
    seen = []
    for step, value in enumerate(values, start=1):
        seen.append(value)
        row = {"number": number, "attempt": 1, "values": [[step, value]], "last": True}
        answers = list(sampler.ask({"values": row}, "judged"))
        for prune in (answer["prune"] for answer in answers if "prune" in answer):
            ended = {"pruned_at": prune["position"], "pruned_value": prune["value"]}
            return {"number": number, "outcome": "pruned", **ended}
    return {"number": number, "outcome": "complete", "values": [min(seen)]}
