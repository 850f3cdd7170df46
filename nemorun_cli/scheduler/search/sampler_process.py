"""The process that samples and prunes: `python -m nemorun_cli.scheduler.search.sampler_process`.

It reads lines of JSON and answers with lines of JSON, in the order of the requests. The first is the rule:

    {"search": RULE}

`suggested` and `trial_ended` follow in the order of the ledger, first those of the past:

    {"suggested": {"number": 1, "params": {"lr": 0.1}, "written": {}}}
    {"trial_ended": {"number": 1, "outcome": "complete", "values": [0.4]}}

and between them, as they are needed:

    {"ask": 2}                       {"suggestion": {"number": 2, "params", "written", "events": 2}}
                                     {"exhausted": {"number": 2, "message"}}: a grid has no point left
                                     {"problem": {"number": 2, "message"}}
    {"values": {"number": 2, "attempt": 1, "values": [[POSITION, VALUE]], "last": false}}
                                     {"rung": {"number": 2, "attempt", "rung", "step", "value"}}, each once
                                     {"prune": {"number": 2, "attempt", "position", "value", "message"}}, once
                                     {"judged": {"number": 2}} after the last ones
    {"importances": true}            {"importances": {"lr": 0.8}} or {"problem": {"number": null, "message"}}

Values with `"is_past": true` are those of a trial whose result follows: nothing is decided on them. What a
process before has judged is not judged again. This request has it,

    {"judged": {"number": 2, "attempt": 1, "step": 8, "rungs": [0.5, 0.4]}}

with the values at the rungs that the trial has reached; nothing is decided up to that step.
`events` is the number of suggestions and results that a suggestion is based on. A problem
with `is_final`, and the exit code 2, mean that nothing else can be answered: Optuna is missing or refuses the
rule, or a line cannot be read. The process ends with its input.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from dataclasses import asdict
from importlib import metadata, util
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.search import Outcome, Rung, SearchRule, Suggestion, TrialResult
from nemorun_cli.scheduler.search.faults import ExhaustedFault, SearchFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.scheduler.search.pruning import SearchPruner
    from nemorun_cli.scheduler.search.study import SearchStudy

REFUSED: Final = 2  # the exit code if nothing can be answered
OLDEST: Final = 4  # the first digits of the version of Optuna that is needed
INSTALL: Final = "pip install 'nemorun-cli[search]'"
PACKAGES: Final = {"cmaes": "cmaes", "qmc": "scipy"}  # what a sampler needs in addition to Optuna
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LONGEST: Final = 200  # characters of a line in a message


def main() -> int:
    """Answer until the input ends; returns the exit code."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        _serve(answers)
    except SearchFault as fault:
        _write(answers, {"problem": {"number": None, "message": str(fault), "is_final": True}})
        return REFUSED
    except ConnectionError:  # the supervisor was killed
        return 0
    return 0


def _serve(answers: int) -> None:
    first = sys.stdin.buffer.readline()
    if not first:
        return
    rule = _rule(_request(first))
    require(rule.sampler)
    conversation = Conversation(rule, lambda answer: _write(answers, answer))
    for line in sys.stdin.buffer:
        conversation.answer(_request(line))


def _write(descriptor: int, answer: Mapping[str, Any]) -> None:
    line = json.dumps(answer).encode() + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise SearchFault(f"a request is no JSON: {_shown(line)}: {error}") from error
    if not isinstance(request, dict) or len(request) != 1:
        raise SearchFault(f"a request is no object with one key: {_shown(line)}")
    return request


def _rule(request: Mapping[str, Any]) -> SearchRule:
    try:
        return SearchRule.from_json(request["search"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SearchFault(f"the first request is no rule of a search: {error!r}") from error


def require(sampler: str) -> None:
    """Raise SearchFault unless Optuna is installed, with what the sampler needs."""
    try:
        version = metadata.version("optuna")
        importlib.import_module("optuna")
    except ImportError as error:  # also if the package is not installed
        reason = "is not installed" if util.find_spec("optuna") is None else f"cannot be imported: {error}"
        raise SearchFault(f"a search needs Optuna, which {reason}: {INSTALL}") from error
    if int(version.partition(".")[0]) < OLDEST:
        raise SearchFault(f"a search needs Optuna {OLDEST} or later, not {version}: {INSTALL}")
    package = PACKAGES.get(sampler)
    if package is not None and util.find_spec(package) is None:
        raise SearchFault(f"the sampler {sampler} needs {package}, which is not installed: {INSTALL}")


class Conversation:
    """Answers the requests about one search.

    Args:
        rule: the rule.
        write: called with each answer.

    Raises:
        SearchFault: Optuna refuses the rule.
    """

    def __init__(self, rule: SearchRule, write: Callable[[dict[str, Any]], None]) -> None:
        self._write = write
        self._study, self._pruner = _study(rule)
        self._events = 0  # suggestions and results in the study
        self._requests: dict[str, Callable[[Any], None]] = {
            "suggested": self._add_suggestion,
            "trial_ended": self._add_result,
            "ask": self._suggest,
            "judged": self._add_judged,
            "values": self._add_values,
            "importances": self._importances,
        }

    def answer(self, request: Mapping[str, Any]) -> None:
        """Carry out a request, and write the answers to it; raises SearchFault if it is unknown."""
        kind, content = next(iter(request.items()))
        if kind not in self._requests:
            raise SearchFault(f"no request is called {kind!r} (there are: {', '.join(self._requests)})")
        try:
            self._requests[kind](content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            traceback.print_exc()
            raise SearchFault(f"the request {kind} cannot be read: {error!r}") from error

    def _add_suggestion(self, content: Mapping[str, Any]) -> None:
        suggestion = Suggestion(
            number=content["number"], params=content["params"], written=content.get("written", {})
        )
        self._study.add_suggestion(suggestion)
        if self._pruner is not None:
            self._pruner.add_suggestion(suggestion.number)
        self._events += 1

    def _add_result(self, content: Mapping[str, Any]) -> None:
        values = content.get("values")
        result = TrialResult(
            number=content["number"],
            outcome=Outcome(content["outcome"]),
            values=None if values is None else tuple(map(float, values)),
            pruned_at=_number(content.get("pruned_at")),
            pruned_value=_number(content.get("pruned_value")),
            message=content.get("message"),
            attempt=content.get("attempt", 1),
            last_step=_number(content.get("last_step")),
        )
        self._study.add_result(result)
        if self._pruner is not None:
            self._pruner.add_result(result)
        self._events += 1

    def _suggest(self, number: int) -> None:
        try:
            suggestion = self._study.suggest(number)
        except ExhaustedFault as fault:
            self._write({"exhausted": {"number": number, "message": str(fault)}})
        except SearchFault as fault:
            self._write({"problem": {"number": number, "message": str(fault)}})
        except Exception as error:  # noqa: BLE001 - whatever a sampler of Optuna, or a condition, raises
            traceback.print_exc()
            message = f"the sampler failed: {type(error).__name__}: {error}"
            self._write({"problem": {"number": number, "message": message}})
        else:
            document = {"number": number, "params": suggestion.params, "written": suggestion.written}
            self._write({"suggestion": {**document, "events": self._events}})

    def _add_judged(self, content: Mapping[str, Any]) -> None:
        if self._pruner is not None:
            self._pruner.add_judged(
                content["number"],
                attempt=content["attempt"],
                step=float(content["step"]),
                rungs=[float(value) for value in content["rungs"]],
            )

    def _add_values(self, content: Mapping[str, Any]) -> None:
        number = content["number"]
        if self._pruner is not None:
            values = [(float(at), float(value)) for at, value in content["values"]]
            attempt = content.get("attempt", 1)
            if content.get("is_past", False):
                self._pruner.add_past(number, values, attempt=attempt)
            else:
                for decision in self._pruner.add_values(number, values, attempt=attempt):
                    if isinstance(decision, Rung):
                        self._write({"rung": asdict(decision)})
                    else:
                        self._write({"prune": {**decision._asdict(), "attempt": attempt}})
        if content.get("last", False):
            self._write({"judged": {"number": number}})

    def _importances(self, _: Any) -> None:
        try:
            self._write({"importances": self._study.importances()})
        except SearchFault as fault:
            self._write({"problem": {"number": None, "message": str(fault)}})
        except Exception as error:  # noqa: BLE001 - whatever Optuna raises
            traceback.print_exc()
            message = f"Optuna cannot compute importances: {type(error).__name__}: {error}"
            self._write({"problem": {"number": None, "message": message}})


def _study(rule: SearchRule) -> tuple[SearchStudy, SearchPruner | None]:
    """The study of a rule, and its pruner if it has one; imports Optuna."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")  # for NumPy, whose matrices are small here
    warnings.simplefilter("ignore")  # of what is experimental, or no number
    import optuna  # noqa: PLC0415 - `require` has checked that it is there

    from nemorun_cli.scheduler.search.pruning import SearchPruner  # noqa: PLC0415 - imports Optuna
    from nemorun_cli.scheduler.search.study import SearchStudy  # noqa: PLC0415 - the same

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return SearchStudy(rule, _holds), SearchPruner(rule) if rule.pruner is not None else None


def _holds(condition: str, values: Mapping[str, Any]) -> bool:
    from nemorun_cli.spec.expressions import conditions  # noqa: PLC0415 - few searches have conditions

    return conditions.holds(condition, values)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


if __name__ == "__main__":
    sys.exit(main())
