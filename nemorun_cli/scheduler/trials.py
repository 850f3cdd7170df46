"""Decides which trial of a search gets the next suggestion, and when none does any more. No effects.

A trial gets its suggestion when it could start: one trial of each search at a time waits for capacity without
a suggestion, so that each suggestion can use the results of all trials that ended before. A trial is one
task, or all tasks of a group, which share one suggestion.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.search import id_of_trial, tasks_of_trials, trial_number
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from nemorun_cli.model.search import Suggestion
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.state import ExperimentState, TaskState

INTERRUPTIONS: Final = frozenset(
    {
        Reason.LOST,
        Reason.NODE_FAIL,
        Reason.PREEMPTED,
        Reason.LAUNCH,
        Reason.ABANDONED,
        Reason.CANCELLED,
        Reason.LIMIT,
        Reason.DEPENDENCY,
        Reason.UNTIL,
    }
)
"""The reasons of ends from which nothing follows about the values of a trial: it can run again."""


class TrialQueue:
    """The trials that can start but for a suggestion.

    Args:
        spec: the spec.
        history: the state of its tasks.

    Attributes:
        wanted: the task that capacity waits for, by search: the first ready one of its trial.
    """

    def __init__(self, spec: Spec, history: ExperimentState) -> None:
        self._history = history
        self._searches = {group.id: group for group in spec.groups if group.search is not None}
        self._tasks: dict[str, tuple[str, ...]] = {}  # by trial
        for group in self._searches.values():
            self._tasks |= tasks_of_trials(group.members)
        self._ready: dict[str, list[tuple[int, str]]] = {}  # trials by search
        self._waiting: dict[str, list[str]] = {}  # their tasks that are ready, by trial
        self._offered: dict[str, str] = {}  # the task in the schedule's queue, by search
        self.wanted: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether any trial may wait for a suggestion."""
        return any(self._ready.values())

    def search_of(self, task: Task) -> Group | None:
        """The search of a trial; None for other tasks."""
        return self._searches.get(task.group or "") if self._searches else None

    def tasks_of(self, name: str) -> tuple[str, ...]:
        """The tasks of a trial, by its id or that of one of them; a task that is of no trial alone."""
        return self._tasks.get(id_of_trial(name), (name,))

    def suggestion(self, task: Task) -> Suggestion | None:
        """What was suggested for the trial of a task; None for other tasks, and before that."""
        group = self.search_of(task)
        study = self._history.studies.get(group.id) if group is not None else None
        return study.suggestions.get(trial_number(task.id)) if study is not None else None

    def needs_suggestion(self, task: Task) -> bool:
        """Whether a task is of a trial that has no suggestion yet."""
        return self.search_of(task) is not None and self.suggestion(task) is None

    def add(self, task: Task) -> None:
        """Take a task that can start once its trial has a suggestion."""
        assert task.group is not None  # noqa: S101 - it is of a trial
        trial = id_of_trial(task.id)
        if trial not in self._waiting:
            heapq.heappush(self._ready.setdefault(task.group, []), (task.index, trial))
        self._waiting.setdefault(trial, []).append(task.id)

    def take_tasks(self, trial: str) -> list[str]:
        """The ready tasks of a trial that waited for its suggestion, which do not wait any more."""
        return list(dict.fromkeys(self._waiting.pop(trial, ())))

    def offer(
        self, tasks: Mapping[str, Task], *, waiting: Collection[str | None] = frozenset()
    ) -> Iterator[str]:
        """The tasks that wait for capacity from now on: of the first trial of each search of which none does.

        Args:
            tasks: all tasks.
            waiting: searches of which a trial with a suggestion waits for something else before that.
        """
        for name, ready in self._ready.items():
            offered = self._offered.get(name)
            if name in waiting or (offered is not None and self._is_waiting(tasks[offered])):
                continue
            self._offered.pop(name, None)
            if (
                offered is not None and id_of_trial(offered) in self._waiting
            ):  # another of its tasks can start
                heapq.heappush(ready, (tasks[offered].index, id_of_trial(offered)))
            while ready:
                trial = heapq.heappop(ready)[1]
                first = next((each for each in self._waiting[trial] if self._is_waiting(tasks[each])), None)
                if first is not None:
                    self._offered[name] = first
                    yield first
                    break
                del self._waiting[trial]

    def _is_waiting(self, task: Task) -> bool:
        return self._history.tasks[task.id].status is TaskStatus.PENDING and self.needs_suggestion(task)

    def ask(self, task: Task) -> None:
        """Note that there is capacity for a task whose trial needs a suggestion now."""
        assert task.group is not None  # noqa: S101 - it is of a trial
        self.wanted[task.group] = task.id

    def take_wanted(self, search: str) -> str | None:
        """The task of a search whose trial needs a suggestion now, if it still does."""
        task = self.wanted.pop(search, None)
        if task is None or self._history.tasks[task].status is not TaskStatus.PENDING:
            return None
        return task

    def lacks_result(self, group: Group, name: str) -> bool:
        """Whether a trial has ended, and the ledger has not its result; False for members of other groups.

        Args:
            group: its search.
            name: its id, or that of one of its tasks.
        """
        return lacks_result(group, self.tasks_of(name), self._history)


def has_result(*states: TaskState) -> bool:
    """Whether something follows from the ends of the tasks of a trial for later suggestions.

    It does if one failed by itself or was pruned, whatever happened to the others.
    """
    if not all(state.is_over for state in states):
        return False
    if any(map(_is_decisive, states)):
        return True
    return all(_is_conclusive(state) or _follows_another(state, states) for state in states)


def has_failed(state: TaskState) -> bool:
    """Whether a task failed by itself."""
    return state.status is TaskStatus.FAILED and state.reason not in INTERRUPTIONS


def _is_decisive(state: TaskState) -> bool:
    return has_failed(state) or (state.status is TaskStatus.SUCCEEDED and state.reason == Reason.PRUNED)


def _follows_another(state: TaskState, states: Sequence[TaskState]) -> bool:
    """Whether a task was skipped because of another one of its trial, which counts instead of it."""
    is_skipped = state.status is TaskStatus.SKIPPED and state.reason == Reason.DEPENDENCY
    return is_skipped and len(states) > 1


def _is_conclusive(state: TaskState) -> bool:
    if state.status is TaskStatus.CANCELLED:
        return False
    return state.status is TaskStatus.SUCCEEDED or state.reason not in INTERRUPTIONS


def deciding(states: Sequence[TaskState]) -> int:
    """The number of the task that decides what a trial is, by the states of its tasks.

    A failure goes before a cancel and a pruned task, and what has not ended before what has succeeded; of
    equals the first counts.
    """
    return min(range(len(states)), key=lambda number: (_weight(states[number]), number))


def _weight(state: TaskState) -> int:
    is_pruned = state.reason == Reason.PRUNED and state.status is TaskStatus.SUCCEEDED
    return _WEIGHTS.index(Reason.PRUNED if is_pruned else state.status)


_WEIGHTS: Final = (
    TaskStatus.UNKNOWN,
    TaskStatus.RUNNING,
    TaskStatus.SUBMITTED,
    TaskStatus.FAILED,
    TaskStatus.CANCELLED,
    Reason.PRUNED,
    TaskStatus.PENDING,
    TaskStatus.SUCCEEDED,
    TaskStatus.SKIPPED,
)


def lacks_result(group: Group, tasks: Sequence[str], history: ExperimentState) -> bool:
    """Whether a trial, given by its tasks, has ended, and the ledger has not its result."""
    study = history.studies.get(group.id)
    if study is None or not has_result(*(history.tasks[name] for name in tasks)):
        return False
    number = trial_number(tasks[0])
    return number in study.suggestions and number not in study.results


def unfinished(group: Group, history: ExperimentState) -> list[str]:
    """The trials of a search that lack their results, in the order of their ends."""
    if group.id not in history.studies:
        return []
    ends = {
        trial: max(history.tasks[name].ended or "" for name in tasks)
        for trial, tasks in tasks_of_trials(group.members).items()
        if lacks_result(group, tasks, history)
    }
    return sorted(ends, key=ends.__getitem__)


def timeout_message(group: Group) -> str:
    """Why the trials of a search that have not started do not, when its timeout has passed."""
    assert group.search is not None  # noqa: S101 - a search
    assert group.search.timeout is not None  # noqa: S101 - it has passed
    return (
        f"not needed: the timeout of the search {group.id} has passed ({duration_text(group.search.timeout)})"
    )
