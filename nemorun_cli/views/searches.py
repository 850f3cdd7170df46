"""A search as its ledger records it: its trials, the best so far, the trials that no other one dominates."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import Outcome, id_of_trial, tasks_of_trials, trial_number
from nemorun_cli.model.status import LIVE, TaskStatus
from nemorun_cli.scheduler import trials as trial_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.search import SearchRule, Suggestion, TrialResult
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.state import ExperimentState, TaskState
    from nemorun_cli.views.sweeps import Progress

MOST_PARAMS: Final = 6  # of a trial, that one line names
LONGEST: Final = 60  # characters of a value in it
RUNNING: Final = "running"
_PHASES: Final = {
    TaskStatus.PENDING: "pending",
    TaskStatus.CANCELLED: "cancelled",
    TaskStatus.SKIPPED: "skipped",
    TaskStatus.FAILED: Outcome.FAILED.value,
    TaskStatus.SUCCEEDED: Outcome.COMPLETE.value,
}
PHASES: Final = (*(outcome.value for outcome in Outcome), RUNNING, "pending", "cancelled", "skipped")
"""What the trials of a search are counted as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial: what was suggested for it, the states of its tasks, and its result once it has one.

    Attributes:
        number: from 1.
        id: its id: that of its task, or what the ids of its tasks begin with.
        states: of its tasks, by their ids, in the order of their group.
        suggestion: what was suggested for it.
        result: its result.
        task: its task that has its value, or because of which it has none.
    """

    number: int
    id: str
    states: Mapping[str, TaskState]
    suggestion: Suggestion | None = None
    result: TrialResult | None = None
    task: str

    @classmethod
    def of(cls, name: str, tasks: Sequence[str], history: ExperimentState) -> Self:
        """A trial by its id and its tasks."""
        number, study = trial_number(name), history.studies.get(name.partition("/")[0])
        states = {task: history.tasks[task] for task in tasks}
        decider = study.deciders.get(number) if study else None
        if decider not in states:
            decider = tasks[trial_rules.deciding(list(states.values()))]
        return cls(
            number=number,
            id=name,
            states=states,
            suggestion=study.suggestions.get(number) if study else None,
            result=study.results.get(number) if study else None,
            task=decider,
        )

    @property
    def state(self) -> TaskState:
        """That of the task that decides what the trial is."""
        return self.states[self.task]

    @property
    def is_over(self) -> bool:
        """Whether all of its tasks have ended."""
        return all(state.is_over for state in self.states.values())

    @property
    def phase(self) -> str:
        """One of PHASES: its outcome, or what it does without one."""
        states = self.states.values()
        has_begun = any(state.is_over for state in states) and not self.is_over
        if has_begun or any(state.status in LIVE for state in states):
            return RUNNING
        if self.result is not None and self.is_over:
            return self.result.outcome.value
        return _PHASES[self.state.status]

    @property
    def values(self) -> tuple[float, ...] | None:
        """Its values, if it is complete and all of them are finite."""
        result = self.result
        if result is None or result.outcome is not Outcome.COMPLETE or not result.values:
            return None
        return result.values if all(map(math.isfinite, result.values)) else None

    @property
    def params(self) -> Mapping[str, Any]:
        """The suggested values; empty before the suggestion."""
        return self.suggestion.params if self.suggestion is not None else {}

    def to_json(self) -> dict[str, Any]:
        """The field `trial` of its task."""
        result = self.result
        return {
            "id": self.id,
            "number": self.number,
            "params": dict(self.params) if self.suggestion is not None else None,
            "outcome": None if result is None else result.outcome,
            "values": None if result is None or result.values is None else list(result.values),
            "pruned_at": None if result is None else result.pruned_at,
            "pruned_value": None if result is None else result.pruned_value,
            "message": None if result is None else result.message,
        }


@dataclass(frozen=True)
class StudyView:
    """The trials of a group that searches, from its rule and the state of its experiment.

    `order` has suggestions and results in the order of the ledger.
    """

    group: Group
    rule: SearchRule
    trials: tuple[Trial, ...]
    order: Sequence[Suggestion | TrialResult] = ()

    @classmethod
    def of(cls, group: Group, history: ExperimentState) -> StudyView | None:
        """The study of a group; None if it does not search."""
        if group.search is None:
            return None
        study = history.studies.get(group.id)
        tasks = tasks_of_trials(group.members)
        trials = tuple(Trial.of(name, names, history) for name, names in tasks.items())
        return cls(group, group.search, trials, study.order if study is not None else ())

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """The number of trials in each of PHASES."""
        counted = Counter(trial.phase for trial in self.trials)
        return {phase: counted[phase] for phase in PHASES}

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The complete trials that no other one dominates; with one goal the best and its equals."""
        front: list[tuple[tuple[float, ...], Trial]] = []
        for trial in self.trials:
            if trial.values is None or len(trial.values) != len(self.rule.goals):
                continue
            costs = self._costs(trial.values)
            if any(_dominates(other, costs) for other, _ in front):
                continue
            front = [entry for entry in front if not _dominates(costs, entry[0])]
            front.append((costs, trial))
        return tuple(trial for _, trial in front)

    @property
    def best(self) -> Trial | None:
        """The best complete trial so far; of equal ones the first. None with several goals."""
        return self.front[0] if len(self.rule.goals) == 1 and self.front else None

    @property
    def metric(self) -> str:
        """What pruned values are of: the first metric."""
        return next(iter(self.rule.metrics), "value")

    @property
    def ranked(self) -> list[Trial]:
        """The trials that have a suggestion: the complete ones first, by the first goal, then the others."""
        suggested = [trial for trial in self.trials if trial.suggestion is not None]
        return sorted(
            suggested,
            key=lambda trial: (trial.values is None, self._costs(trial.values) if trial.values else ()),
        )

    @property
    def is_over(self) -> bool:
        """Whether no trial runs or will run."""
        return all(trial.is_over for trial in self.trials)

    def rank(self, trial: Trial) -> tuple[int, int] | None:
        """The place of a complete trial by the one goal, from 1, and how many are complete; else None."""
        if len(self.rule.goals) != 1 or trial.values is None:
            return None
        own = self._costs(trial.values)
        costs = [self._costs(other.values) for other in self.trials if other.values is not None]
        return 1 + sum(other < own for other in costs), len(costs)

    def _costs(self, values: Sequence[float]) -> tuple[float, ...]:
        """Values of which the smallest are the best."""
        return tuple(
            -value if goal is Goal.MAXIMIZE else value
            for value, goal in zip(values, self.rule.goals, strict=False)
        )

    def named(self, trial: Trial) -> str:
        """A complete trial with its values and params: `train/trial-0007, loss 0.031 (lr=0.1, units=64)`."""
        values = ", ".join(
            f"{metric} {value:.6g}"
            for metric, value in zip(self.rule.metrics, trial.values or (), strict=False)
        )
        return f"{trial.id}, {values} ({params_text(trial.params)})" if values else trial.id

    def to_json(self) -> dict[str, Any]:
        """The fields of an entry of `searches` that need no clock."""
        return {
            "id": self.group.id,
            "metrics": list(self.rule.metrics),
            "goals": list(self.rule.goals),
            "trials": self.rule.trials,
            "sampler": self.rule.sampler,
            "pruner": self.rule.pruner,
            "seed": self.rule.seed,
            "counts": dict(self.counts),
            "best": None if self.best is None else _found(self.best),
            "front": [_found(trial) for trial in self.front] if len(self.rule.goals) > 1 else [],
        }


def of(spec: Spec, history: ExperimentState) -> list[StudyView]:
    """The searches of an experiment."""
    studies = (StudyView.of(group, history) for group in spec.groups if group.search is not None)
    return [study for study in studies if study is not None]


def to_json(study: StudyView, progress: Progress) -> dict[str, Any]:
    """An entry of `searches` in `exp.status/1`."""
    left = progress.seconds_left
    return {
        **study.to_json(),
        "seconds_left": None if left is None else round(left, 1),
        "estimate": progress.estimate,
    }


def study_of(spec: Spec, history: ExperimentState, task: Task) -> StudyView | None:
    """The search that a task is of; None for all other tasks."""
    group = _search_of(spec, task)
    return StudyView.of(group, history) if group is not None else None


def trial_of(spec: Spec, history: ExperimentState, task: Task) -> Trial | None:
    """The trial that a task belongs to; None for all other tasks."""
    if _search_of(spec, task) is None:
        return None
    name = id_of_trial(task.id)
    return Trial.of(name, list(_tasks_of(spec, task, name)), history)


def trial_name(spec: Spec, name: str) -> str:
    """The id of the trial of a task; that of the task if it belongs to none."""
    group = name.partition("/")[0]
    is_of_search = any(each.search is not None and each.id == group for each in spec.groups)
    return id_of_trial(name) if is_of_search else name


def _tasks_of(spec: Spec, task: Task, trial: str) -> Iterator[str]:
    """The tasks of a trial, which follow each other in the spec."""
    first = task.index
    while first > 0 and id_of_trial(spec.tasks[first - 1].id) == trial:
        first -= 1
    for each in spec.tasks[first:]:
        if id_of_trial(each.id) != trial:
            return
        yield each.id


def _search_of(spec: Spec, task: Task) -> Group | None:
    if task.group is None:
        return None
    return next((group for group in spec.groups if group.search and group.id == task.group), None)


def lines(studies: Sequence[StudyView]) -> Iterator[str]:
    """A line about what each search has found so far; none for one without a complete trial."""
    for study in studies:
        if study.best is not None:
            tied = len(study.front) - 1
            more = f"; {tied} other{'s are' if tied > 1 else ' is'} as good" if tied else ""
            so_far = "" if study.is_over else " so far"
            yield f"the best of {study.group.id}{so_far} is {study.named(study.best)}{more}"
        elif study.front:
            many = len(study.front) > 1
            yield (
                f"{study.group.id}: {len(study.front)} trial{'s are' if many else ' is'} not dominated by"
                f" another ({', '.join(study.rule.metrics)}), such as {study.named(study.front[0])}"
            )


def result_text(study: StudyView, trial: Trial) -> str:
    """The values of a trial, the one at which it was pruned, or why it has none; empty before its end."""
    result = trial.result
    if result is None or not trial.is_over:
        return ""
    if result.values is not None:
        pairs = zip(study.rule.metrics, result.values, strict=False)
        return ", ".join(f"{metric} {value:.6g}" for metric, value in pairs)
    if result.outcome is Outcome.PRUNED and result.pruned_value is not None:
        at = "" if result.pruned_at is None else f" at {result.pruned_at:g}"
        return f"{study.metric} {result.pruned_value:.6g}{at} (pruned)"
    return result.message or ""


def params_text(params: Mapping[str, Any], most: int = MOST_PARAMS) -> str:
    """Params of a trial in a few words: `lr=0.0123, units=64`."""
    import json  # noqa: PLC0415 - the state of most experiments has no search

    shown = []
    for name, value in list(params.items())[:most]:
        if isinstance(value, float):
            text = f"{value:.4g}"
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text = f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text
        shown.append(f"{name}={text}")
    return ", ".join(shown) + (f" and {len(params) - most} more" if len(params) > most else "")


def _found(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "task": trial.task,
        "number": trial.number,
        "params": dict(trial.params),
        "values": list(trial.values or ()),
    }


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether costs are nowhere larger than others, and smaller somewhere."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
