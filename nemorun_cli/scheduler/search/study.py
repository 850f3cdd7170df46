"""One study: what happened in it, in the order of the ledger, and the suggestion that follows from that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import Outcome, Suggestion, TrialResult
from nemorun_cli.scheduler.search import written
from nemorun_cli.scheduler.search.faults import SearchFault
from nemorun_cli.scheduler.search.grids import Grid
from nemorun_cli.scheduler.search.samplers import sampler_of
from nemorun_cli.scheduler.search.spaces import OptunaSpace, exact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.scheduler.search.spaces import Holds

NAME: Final = "search"  # of each study: a random one would make its results random
GRID: Final = "grid"
ONE_GOAL: Final = "cmaes"


class SearchStudy:
    """A study, to which suggestions and results are added in the order of the ledger.

    Optuna's study holds the trials in that order, too, so its numbers of trials are not those of the rule. It
    is kept from one suggestion to the next; only the sampler is a new one each time.

    Args:
        rule: the rule.
        holds: whether a condition is true for the values of the params above it.

    Raises:
        SearchFault: Optuna refuses the rule.
    """

    def __init__(self, rule: SearchRule, holds: Holds) -> None:
        if rule.sampler == ONE_GOAL and len(rule.goals) > 1:
            raise SearchFault(f"the sampler {rule.sampler} looks for one goal, not {len(rule.goals)}")
        self._rule = rule
        self._space = OptunaSpace(rule, holds)
        self._grid = Grid(rule, self._space) if rule.sampler == GRID else None
        self._events: list[Suggestion | TrialResult] = []
        self._begin()

    def _begin(self) -> None:
        self._storage = _Storage()
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=NAME,
            directions=[direction_of(goal) for goal in self._rule.goals],
        )
        self._study_id = self._storage.get_study_id_from_name(NAME)
        self._trial_ids: dict[int, int] = {}  # by the numbers of trials
        self._offered: Suggestion | None = None  # is in the study, but not yet in the ledger
        self._attributes_before: dict[str, Any] = {}  # those of the study without it

    def add_suggestion(self, suggestion: Suggestion) -> None:
        """Add the suggestion of the next event: the last one that `suggest` returned, or one of before.

        Raises:
            SearchFault: it does not fit the rule, or the trial has one.
        """
        offered, exact = self._offered, exact_text(suggestion.params)
        if offered is not None and (offered.number, exact_text(offered.params)) == (suggestion.number, exact):
            self._offered = None
            self._write(suggestion)
        else:
            self._drop_offer()
            self._insert(suggestion)
        self._events.append(suggestion)

    def add_result(self, result: TrialResult) -> None:
        """Add the result of the next event.

        Raises:
            SearchFault: its trial has no suggestion, or a result.
        """
        self._drop_offer()
        self._finish(result)
        self._events.append(result)

    def suggest(self, number: int) -> Suggestion:
        """The suggestion for a trial: a function of the rule, the number, and what was added.

        It belongs to the study once it is added; otherwise the next call forgets it.

        Raises:
            SearchFault: it cannot be made.
        """
        self._drop_offer()
        if number in self._trial_ids:
            raise SearchFault(f"trial {number} has a suggestion already")
        if self._grid is not None:
            return Suggestion(number=number, params=self._grid.point(self._given(number)), written={})
        self._offered = Suggestion(number=number, params={}, written={})  # dropped if what follows fails
        self._offered = suggestion = self._sample(number)
        return suggestion

    def importances(self) -> dict[str, float]:
        """The share of each param in the variation of good values, the largest first.

        Raises:
            SearchFault: there are too few trials with values.
        """
        self._drop_offer()
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < 2:  # noqa: PLR2004 - what can be compared
            raise SearchFault("importances need at least two trials that are complete")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        found = {name: float(shares.get(name, 0.0)) for name in self._space.params}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _sample(self, number: int) -> Suggestion:
        self._attributes_before = before = dict(self._storage.get_study_system_attrs(self._study_id))
        self._study.sampler = sampler_of(self._rule, self._space, number)
        given = {name: self._space.inner(name, value) for name, value in self._given(number).items()}
        if given:
            self._study.enqueue_trial(given)
        trial = self._study.ask()
        self._trial_ids[number] = trial._trial_id  # noqa: SLF001 - storages know it by that alone
        values: dict[str, Any] = {}
        for name in self._space.params:
            if self._space.is_active(name, values):
                values[name] = self._space.drawn(trial, name)
        study_after = self._storage.get_study_system_attrs(self._study_id)
        news = {key: value for key, value in study_after.items() if value != before.get(key)}
        attributes = self._storage.get_trial_system_attrs(self._trial_ids[number])
        return Suggestion(number=number, params=values, written=written.encode(attributes, news))

    def _given(self, number: int) -> Mapping[str, Any]:
        """The values that `start_with` has for a trial."""
        start_with = self._rule.start_with
        return start_with[number - 1] if 1 <= number <= len(start_with) else {}

    def _drop_offer(self) -> None:
        """Forget a suggestion that is not in the ledger."""
        offered, self._offered = self._offered, None
        if offered is None:
            return
        trial_id = self._trial_ids.pop(offered.number, None)
        if trial_id is not None and self._storage.forget_last(trial_id, self._attributes_before):
            return
        self._begin()
        for event in self._events:
            if isinstance(event, Suggestion):
                self._insert(event)
            else:
                self._finish(event)

    def _insert(self, suggestion: Suggestion) -> None:
        if suggestion.number in self._trial_ids:
            raise SearchFault(f"trial {suggestion.number} has a suggestion already")
        attributes, _ = written.decode(suggestion.written)
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params={name: self._space.inner(name, value) for name, value in suggestion.params.items()},
            distributions={name: self._space.distributions[name] for name in suggestion.params},
            system_attrs=attributes,
        )
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
        self._trial_ids[suggestion.number] = trial_id
        self._write(suggestion)
        if self._grid is not None:
            self._grid.take(suggestion.params)

    def _write(self, suggestion: Suggestion) -> None:
        """Write what the sampler wrote, also after it did: a study that is kept equals one made again."""
        attributes, of_study = written.decode(suggestion.written)
        for key, value in attributes.items():
            self._storage.set_trial_system_attr(self._trial_ids[suggestion.number], key, value)
        for key, value in of_study.items():
            self._storage.set_study_system_attr(self._study_id, key, value)

    def _finish(self, result: TrialResult) -> None:
        trial_id = self._trial_ids.get(result.number)
        if trial_id is None:
            raise SearchFault(f"trial {result.number} has a result, but no suggestion")
        if self._storage.get_trial(trial_id).state.is_finished():
            raise SearchFault(f"trial {result.number} has a result already")
        state, values = end_of(result, goals=len(self._rule.goals))
        if result.pruned_at is not None and result.pruned_value is not None and len(self._rule.goals) == 1:
            at = position(result.pruned_at)
            self._storage.set_trial_intermediate_value(trial_id, at, result.pruned_value)
        self._storage.set_trial_state_values(trial_id, state, values)


class _Storage(InMemoryStorage):
    """A storage that can forget the last trial: to make it again takes longer with each trial."""

    def forget_last(self, trial_id: int, attributes: dict[str, Any]) -> bool:
        """Forget the last trial, which runs, and restore the attributes of the study; False if it cannot.

        These are Optuna's own fields, which another version may not have.
        """
        fields = (
            "_studies",
            "_max_trial_id",
            "_trial_id_to_study_id_and_number",
            "_prev_waiting_trial_number",
        )
        if not all(hasattr(self, name) for name in fields) or trial_id != self._max_trial_id:
            return False
        study_id, number = self._trial_id_to_study_id_and_number.pop(trial_id)
        study = self._studies[study_id]
        study.trials.pop()
        study.system_attrs = attributes
        self._max_trial_id -= 1
        self._prev_waiting_trial_number[study_id] = min(self._prev_waiting_trial_number[study_id], number)
        return True


def direction_of(goal: Goal) -> StudyDirection:
    """Optuna's word for a goal."""
    return StudyDirection.MINIMIZE if goal is Goal.MINIMIZE else StudyDirection.MAXIMIZE


def position(number: float) -> int:
    """A position of a value as the key that Optuna knows it by: whole where it is, which Optuna expects."""
    return int(number) if number.is_integer() else number  # type: ignore[return-value]  # an epoch can be 0.5


def end_of(result: TrialResult, *, goals: int) -> tuple[TrialState, list[float] | None]:
    """The state and the values of a trial that has ended: a value that is no number is as good as none."""
    match result.outcome:
        case Outcome.PRUNED:
            value = result.pruned_value
            is_value = value is not None and not math.isnan(value) and goals == 1
            return TrialState.PRUNED, [value] if is_value and value is not None else None
        case Outcome.COMPLETE:
            values = list(map(float, result.values or ()))
            if len(values) == goals and not any(map(math.isnan, values)):
                return TrialState.COMPLETE, values
    return TrialState.FAIL, None
