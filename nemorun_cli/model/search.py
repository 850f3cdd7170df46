"""The key `search` of a task: the space, goals and sampler of a study, and its trials. Pure values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.best import Goal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_SAMPLER: Final = "tpe"
SAMPLERS: Final = ("tpe", "random", "qmc", "cmaes", "grid", "nsgaii")
PRUNERS: Final = ("asha", "hyperband", "median", "threshold", "patient")
WITH_RUNGS: Final = ("asha", "hyperband")
COMPARING: Final = (*WITH_RUNGS, "median")  # pruners that compare trials


class ParamKind(StrEnum):
    """What values a param of a search can have."""

    FLOAT = "float"
    INT = "int"
    CHOICES = "choices"


class Outcome(StrEnum):
    """How a trial ended, as later samplers see it."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParam:
    """One param of a search.

    Attributes:
        name: as in `${{ search.NAME }}`.
        kind: what values it can have.
        low: the smallest value; None for choices.
        high: the largest value; None for choices.
        step: the distance of values from each other; None for any, and for choices.
        log: whether values are drawn from the logarithm.
        choices: the values, in the order of the spec; empty for numbers.
        when: an expression over `search`; the param has a value only in trials for which it is true. It may
            name params that come before it.
    """

    name: str
    kind: ParamKind
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRule:
    """A study: what it looks for, where and how.

    Attributes:
        params: the space, in the order of the spec.
        metrics: what is compared, one for each goal: the key of a metric, which may end with an aggregate,
            or an output (`outputs.loss`), as in `best`.
        goals: which values are better, one for each metric.
        trials: how many trials are started at most.
        timeout: seconds after the first suggestion in which trials are started; None for no limit.
        sampler: one of SAMPLERS.
        seed: with a trial's number, it decides what its sampler draws.
        pruner: one of PRUNERS; None for none.
        pruner_options: its options, by their names in the spec.
        start_with: the values of the first trials; what one does not name is drawn.
    """

    params: tuple[SearchParam, ...]
    metrics: tuple[str, ...]
    goals: tuple[Goal, ...]
    trials: int
    timeout: float | None = None
    sampler: str = DEFAULT_SAMPLER
    seed: int = 0
    pruner: str | None = None
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    start_with: tuple[Mapping[str, Any], ...] = ()

    @property
    def pruner_text(self) -> str | None:
        """The pruner with its options, by which its decisions are distinguished; None without a pruner."""
        if self.pruner is None:
            return None
        return " ".join(
            [self.pruner, *(f"{name}={self.pruner_options[name]}" for name in sorted(self.pruner_options))]
        )

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A rule from its fields; unknown fields of a later version are ignored."""
        values = {item.name: document[item.name] for item in fields(cls) if item.name in document}
        values["params"] = tuple(_param(entry) for entry in values["params"])
        values["goals"] = tuple(Goal(goal) for goal in values["goals"])
        for key in ("metrics", "start_with"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)


def _param(entry: Mapping[str, Any]) -> SearchParam:
    values = {item.name: entry[item.name] for item in fields(SearchParam) if item.name in entry}
    values["kind"] = ParamKind(values["kind"])
    values["choices"] = tuple(values.get("choices", ()))
    return SearchParam(**values)


def trial_id(group: str, number: int) -> str:
    """The id of a trial, which are counted from 1: `train/trial-0007`."""
    return f"{group}/trial-{number:04d}"


def trial_number(task: str) -> int:
    """The number of a trial, from its id or that of one of its tasks; 0 for other tasks."""
    digits = task.partition("/")[2].partition("/")[0].removeprefix("trial-")
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def id_of_trial(task: str) -> str:
    """The id of the trial of a task: `tune/trial-0007` of `tune/trial-0007/evaluate`."""
    return "/".join(task.split("/", 2)[:2])


def pruned_with(task: str) -> str:
    """What the reason begins with why another task of a trial does not run on, as this one was pruned."""
    return f"{task.rpartition('/')[2]} of its trial was pruned: "


def tasks_of_trials(members: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The tasks of each trial, by the id of the trial, in the order of the members of its search."""
    tasks: dict[str, list[str]] = {}
    for member in members:
        tasks.setdefault(id_of_trial(member), []).append(member)
    return {trial: tuple(names) for trial, names in tasks.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What a sampler suggested for a trial: the event `suggested`.

    Attributes:
        number: that of the trial, from 1.
        params: the values, by name; without those whose `when` is false.
        written: all that the sampler wrote for the trial and the study, as JSON, for later samplers.
    """

    number: int
    params: Mapping[str, Any]
    written: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The result of a trial: the event `trial_ended`.

    Attributes:
        number: that of the trial, from 1.
        outcome: how it ended.
        values: those of the metrics, in their order; None unless it is complete.
        pruned_at: the step of the value after which it was pruned; None if it was not.
        pruned_value: that value.
        message: why it has no values; None if it has.
        attempt: the attempt at the trial.
        pruner: the pruner of then, as in `SearchRule.pruner_text`; the rungs that the ledger has are its.
        last_step: the step of its last value, as that pruner saw it; None if it saw none.
    """

    number: int
    outcome: Outcome
    values: tuple[float, ...] | None = None
    pruned_at: float | None = None
    pruned_value: float | None = None
    message: str | None = None
    attempt: int = 1
    pruner: str | None = None
    last_step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A rung of successive halving that a trial has reached: the event `rung_reached`.

    Attributes:
        number: that of the trial, from 1.
        attempt: the attempt at the trial.
        rung: that of the rung, from 1.
        step: where the trial reached it.
        value: its value there, which may be infinite: by it the rung compares trials.
        pruner: the pruner, as in `SearchRule.pruner_text`.
    """

    number: int
    attempt: int
    rung: int
    step: float
    value: float
    pruner: str | None = None
