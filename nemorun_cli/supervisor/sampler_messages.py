"""The messages to the process that samples: what happens, and what a new process has to know of the past."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.search import WITH_RUNGS, Outcome, Suggestion, TrialResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.storage.study_state import StudyState

Values = list[tuple[float, float]]
"""Positions and values of the metric that a pruner sees, in order."""


def of_event(entry: Suggestion | TrialResult) -> dict[str, Any]:
    """An event of the study as the process gets it."""
    if isinstance(entry, Suggestion):
        content = {"number": entry.number, "params": entry.params, "written": entry.written}
        return {"suggested": content}
    return {
        "trial_ended": {
            "number": entry.number,
            "outcome": entry.outcome,
            "values": entry.values,
            "pruned_at": entry.pruned_at,
            "pruned_value": entry.pruned_value,
            "message": entry.message,
            "attempt": entry.attempt,
            "last_step": entry.last_step,
        }
    }


def needs_values(rule: SearchRule, result: TrialResult) -> bool:
    """Whether a new process needs the values of a trial that has a result."""
    if rule.pruner in WITH_RUNGS:
        return result.pruner != rule.pruner_text  # else the ledger has its rungs
    return rule.pruner == "median" and result.outcome is Outcome.COMPLETE


def of_values(number: int, attempt: int, values: Values, *, is_last: bool = False) -> dict[str, Any]:
    """Values of a trial; with `is_last` they are answered."""
    content = {"number": number, "attempt": attempt, "values": values}
    return {"values": content | ({"last": True} if is_last else {})}


def _judged(study: StudyState, number: int, rule: SearchRule) -> dict[str, Any] | None:
    """What a pruner has judged of a trial; None if it has judged nothing, or was another one."""
    pruner = rule.pruner_text
    rungs = [rung for rung in study.rungs.get(number, ()) if rung.pruner == pruner]
    ends = [(rung.attempt, rung.step) for rung in rungs]
    until, prune = study.judged.get(number), study.prunes.get(number)
    if until is not None and until.pruner == pruner:
        ends.append((until.attempt, until.step))
    if prune is not None and number not in study.results:
        ends.append((prune.attempt, math.inf))  # the decision on it is taken
    if not ends:
        return None
    attempt, step = max(ends)
    values = [rung.value for rung in rungs if rung.attempt == attempt]
    return {"judged": {"number": number, "attempt": attempt, "step": step, "rungs": values}}


def of_past(
    study: StudyState, rule: SearchRule, seen: Mapping[int, tuple[int, Values]]
) -> Iterator[Mapping[str, Any]]:
    """What a new process has to know: the events in their order, each with what was judged of the trial.

    Values of a trial that has a result go before that, if they are needed. Those of others come last: what is
    not yet judged of them is compared with all results.
    """
    for entry in study.order:
        number = entry.number
        if isinstance(entry, Suggestion):
            yield of_event(entry)
            if rule.pruner is not None and (judged := _judged(study, number, rule)):
                yield judged
            continue
        if number in seen and needs_values(rule, entry):
            yield of_values(number, *seen[number])
        yield of_event(entry)
    for number in study.suggestions:
        if number in seen and number not in study.results:
            yield of_values(number, *seen[number])
