"""The choice of the best of several runs by a metric: who can win, who is left out and why, who is tied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.status import ExperimentStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Goal(StrEnum):
    """Which values of a metric are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Exclusion(StrEnum):
    """Why a run cannot be the best: a closed list, for scripts."""

    STATUS = "status"
    PRUNED = "pruned"
    MISSING = "missing"
    NOT_FINITE = "not_finite"


LAST: Final = "last"
AGGREGATES: Final = (LAST, "min", "max", "mean")  # of the values of a run, which runs are compared by
IMPLIED_GOALS: Final = {"min": Goal.MINIMIZE, "max": Goal.MAXIMIZE}
_SUCCESSES: Final = frozenset({str(TaskStatus.SUCCEEDED), str(ExperimentStatus.COMPLETED)})


OUTPUTS: Final = "outputs."  # before the name of an output that members of a group are compared by


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRule:
    """By what the best member of a group is chosen, as the key `best` of the spec defines it.

    Attributes:
        metric: the key of a metric, which may end with one of AGGREGATES, or an output: `outputs.loss`.
        goal: which values are better.
    """

    metric: str
    goal: Goal

    @property
    def output(self) -> str | None:
        """The name of the output that is compared; None if it is a metric."""
        return self.metric.removeprefix(OUTPUTS) if self.metric.startswith(OUTPUTS) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One run: its status, the reason for it, the last value of the metric, and the value to compare.

    `shown` is the last value as text, if it is no number; `unreadable` is why its values cannot be read;
    `several` names the tasks of a trial that have the metric, if there is more than one.
    """

    status: str
    reason: str | None
    last: float | None
    value: float | None
    shown: str | None = None
    unreadable: str | None = None
    several: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A candidate, by its index, that cannot be the best."""

    index: int
    reason: Exclusion
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The indices of the candidates that qualify, the best first, and the others in their order.

    Attributes:
        tied: how many of the first are equally good; the first of them wins, since it came first.
    """

    ranked: list[int]
    tied: int
    excluded: list[Excluded]


def split_key(key: str, aggregates: Collection[str] = AGGREGATES) -> tuple[str, str | None]:
    """Split `loss:min` into `loss` and `min`; None for the second without one of `aggregates` at the end."""
    name, _, aggregate = key.rpartition(":")
    return (name, aggregate) if name and aggregate in aggregates else (key, None)


def choose(candidates: Sequence[Candidate], goal: Goal, *, metric: str) -> Choice:
    """Rank the runs that succeeded, were not pruned, and ended with a finite value of the metric.

    Args:
        candidates: the runs, in order: of equally good ones the first wins.
        goal: which values are better.
        metric: the name of the metric, for messages.
    """
    excluded = []
    values: list[tuple[int, float]] = []
    for index, candidate in enumerate(candidates):
        problem = _problem(candidate, metric)
        if problem is not None:
            excluded.append(Excluded(index=index, reason=problem[0], message=problem[1]))
        elif candidate.value is not None:
            values.append((index, candidate.value))
    values.sort(key=lambda entry: entry[1], reverse=goal is Goal.MAXIMIZE)  # keeps the order of equal ones
    tied = sum(value == values[0][1] for _, value in values)
    return Choice(ranked=[index for index, _ in values], tied=tied, excluded=excluded)


def _problem(candidate: Candidate, metric: str) -> tuple[Exclusion, str] | None:
    if candidate.status not in _SUCCESSES:
        return Exclusion.STATUS, f"is {candidate.status}"
    if candidate.reason == Exclusion.PRUNED:
        return Exclusion.PRUNED, "was pruned"
    if candidate.last is None or candidate.value is None or candidate.several:
        return Exclusion.MISSING, _missing(candidate, metric)
    if not is_finite(candidate.last):
        return Exclusion.NOT_FINITE, f"ended with {metric} {candidate.shown or candidate.last}"
    if not is_finite(candidate.value):
        return Exclusion.NOT_FINITE, f"has the value {candidate.value}"
    return None


def _missing(candidate: Candidate, metric: str) -> str:
    if candidate.several:
        return f"has {metric} of several tasks ({', '.join(candidate.several)}): log it in one of them"
    detail = f" that can be read: {candidate.unreadable}" if candidate.unreadable else ""
    return f"has no {metric}{detail}"


def is_finite(value: float) -> bool:
    """Whether a number is finite; unlike `math.isfinite` for integers of any size."""
    return isinstance(value, int) or math.isfinite(value)
