"""Which trials are pruned, and at which position: Optuna's pruners on values as they arrive.

A decision depends on the values of the trial in their order, on the trials that had ended before, and on the
values of the others: not on how the values were cut into messages. What samplers see is not kept here.

A new process does not judge again what another one has judged: it gets the rungs that trials have reached,
and up to which step the values of those that run are judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import optuna
from optuna.pruners import (
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from optuna.storages import InMemoryStorage

from nemorun_cli.model.search import WITH_RUNGS, Outcome, Rung
from nemorun_cli.scheduler.search import prune_reasons
from nemorun_cli.scheduler.search.faults import SearchFault
from nemorun_cli.scheduler.search.study import NAME, direction_of, end_of, position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from optuna.pruners import BasePruner

    from nemorun_cli.model.search import SearchRule, TrialResult

AUTO: Final = "auto"


class Pruning(NamedTuple):
    """The decision to prune a trial.

    Attributes:
        number: that of the trial.
        position: where its value is: a step, an epoch, or the number of a row.
        value: that value.
        message: why.
    """

    number: int
    position: float
    value: float
    message: str


@dataclass(slots=True)
class _Trial:
    """What is known of one trial."""

    id: int
    attempt: int = 1
    pruning: Pruning | None = None
    later: list[tuple[float, float]] = field(default_factory=list)  # values after the decision
    judged: float = -math.inf  # the step up to which another process has judged its values
    rungs: int = 0  # that it has reached
    is_past: bool = False
    is_over: bool = False


class SearchPruner:
    """The pruner of a rule, and the values of its trials.

    Args:
        rule: a rule with a pruner.

    Raises:
        SearchFault: Optuna refuses its options.
    """

    def __init__(self, rule: SearchRule) -> None:
        if len(rule.goals) != 1:
            raise SearchFault("a search with several goals can have no pruner")
        self._rule = rule
        self._has_rungs = rule.pruner in WITH_RUNGS
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage, study_name=NAME, direction=direction_of(rule.goals[0])
        )
        self._study_id = self._storage.get_study_id_from_name(NAME)
        self._trials: dict[int, _Trial] = {}
        self._longest: int | None = None  # the last position of the first complete trial
        self._pruner = _pruner_of(rule, longest=None)

    def add_suggestion(self, number: int) -> None:
        """Add a trial, in the order of the ledger."""
        self._trials[number] = _Trial(self._storage.create_new_trial(self._study_id))

    def add_values(
        self, number: int, values: Iterable[tuple[float, float]], *, attempt: int
    ) -> Iterator[Rung | Pruning]:
        """Add values of a trial, with their positions.

        Of several values at a position the first counts. Those of a later attempt replace all before.

        Yields:
            The rungs that the trial reaches, and the decision to prune it, once.
        """
        trial = self._trials.get(number)
        if trial is None or trial.is_over or attempt < trial.attempt:
            return
        self._begin(trial, attempt)
        pairs = iter(values)
        if trial.pruning is None:
            for at, value in pairs:
                is_hopeless = self._is_hopeless(trial, at, value)
                yield from self._reached(trial, number, at)
                if is_hopeless:
                    frozen, others = self._storage.get_trial(trial.id), self._study.get_trials(deepcopy=False)
                    message = prune_reasons.reason(self._rule, frozen, others, value)
                    trial.pruning = Pruning(number, at, value, message)
                    yield trial.pruning
                    break
        trial.later += pairs

    def _reached(self, trial: _Trial, number: int, at: float) -> Iterator[Rung]:
        """The rungs that a trial has reached since the last call."""
        if not self._has_rungs:
            return
        attributes = self._storage.get_trial(trial.id).system_attrs
        while (value := attributes.get(f"{prune_reasons.RUNG}{trial.rungs}")) is not None:
            trial.rungs += 1
            yield Rung(number=number, attempt=trial.attempt, rung=trial.rungs, step=at, value=value)

    def add_judged(self, number: int, *, attempt: int, step: float, rungs: Iterable[float]) -> None:
        """Take what was judged of a trial before: its values at the rungs, and up to which step.

        Its values up to there can follow, or not; nothing is decided on them.
        """
        trial = self._trials.get(number)
        if trial is None or trial.is_over or attempt < trial.attempt:
            return
        self._begin(trial, attempt)
        trial.judged = step
        attributes = self._storage.get_trial(trial.id).system_attrs  # the storage's own object
        for trial.rungs, value in enumerate(rungs, start=1):
            attributes[f"{prune_reasons.RUNG}{trial.rungs - 1}"] = value

    def add_past(self, number: int, values: Iterable[tuple[float, float]], *, attempt: int) -> None:
        """Add the values of a trial whose result is known, and follows: nothing is decided on it.

        Pruners with rungs look at each value nevertheless, as they keep those at the rungs: such values are
        needed only of trials whose rungs another pruner, or an earlier version, has not written.
        """
        trial = self._trials.get(number)
        if trial is None or trial.is_over or attempt < trial.attempt:
            return
        trial.is_past = True
        if self._has_rungs:
            for _ in self.add_values(number, values, attempt=attempt):
                pass
            return
        self._begin(trial, attempt)
        trial.later += values

    def add_result(self, result: TrialResult) -> None:
        """End a trial: values behind the position at which it was pruned do not count.

        The rungs of a failed one do not count either: which it had reached depends on when its end was seen.
        """
        trial = self._trials.get(result.number)
        if trial is None:
            raise SearchFault(f"trial {result.number} has a result, but no suggestion")
        if result.attempt > trial.attempt:
            self._begin(trial, result.attempt)
        end = math.inf if result.pruned_at is None else result.pruned_at
        add = self._is_hopeless if self._has_rungs and trial.is_past else self._keep
        for at, value in trial.later:
            if at <= end:
                add(trial, at, value)
        trial.is_over, trial.later = True, []
        frozen = self._storage.get_trial(trial.id)
        if result.outcome is Outcome.FAILED:
            frozen.system_attrs.clear()
        last = frozen.last_step if result.last_step is None else result.last_step
        if result.outcome is Outcome.COMPLETE and self._longest is None and last is not None:
            self._longest = math.ceil(last)
            self._pruner = _pruner_of(self._rule, longest=self._longest)
        state, values = end_of(result, goals=1)
        self._storage.set_trial_state_values(trial.id, state, values)

    def _is_hopeless(self, trial: _Trial, at: float, value: float) -> bool:
        if not self._keep(trial, at, value) or at <= trial.judged:
            return False
        return self._pruner.prune(self._study, self._storage.get_trial(trial.id))

    def _keep(self, trial: _Trial, at: float, value: float) -> bool:
        """Keep a value, the first one at its position; returns whether no value is at a later one."""
        known, step = self._storage.get_trial(trial.id).intermediate_values, position(at)
        if step in known:
            return False
        is_last = not known or step > max(known)
        known[step] = value  # the storage's own object: to set it there copies all the others
        return is_last

    def _begin(self, trial: _Trial, attempt: int) -> None:
        """Forget the values of attempts before this one; the object is the storage's own."""
        if attempt == trial.attempt:
            return
        trial.attempt, trial.pruning, trial.later = attempt, None, []
        trial.rungs, trial.judged = 0, -math.inf
        frozen = self._storage.get_trial(trial.id)
        frozen.intermediate_values.clear()
        frozen.system_attrs.clear()


def _pruner_of(rule: SearchRule, *, longest: int | None) -> BasePruner:
    """The pruner of a rule, once the length of a trial is known to what needs it.

    `auto` is for Optuna the length of those trials that are complete when it first looks. Here it is that of
    the first one in the ledger, however fast its values were read.
    """
    options = dict(rule.pruner_options)
    try:
        match rule.pruner:
            case "asha":
                if options.get("min_resource", AUTO) == AUTO and longest is not None:
                    options["min_resource"] = max(longest // 100, 1)
                return SuccessiveHalvingPruner(**options)
            case "hyperband":
                if options.get("max_resource", AUTO) == AUTO and longest is not None:
                    options["max_resource"] = longest + 1
                return HyperbandPruner(**options)
            case "median":
                return MedianPruner(**options)
            case "threshold":
                return ThresholdPruner(**options)
            case "patient":
                return PatientPruner(None, **options)
    except (TypeError, ValueError) as error:
        raise SearchFault(f"Optuna refuses the pruner {rule.pruner}: {error}") from error
    raise SearchFault(f"no pruner is called {rule.pruner!r}")
